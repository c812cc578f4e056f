#include "train/watchdog.h"

namespace hinoki {

Watchdog::Watchdog(std::function<void(const std::string&)> give_up)
    : give_up_(std::move(give_up)), thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Watchdog::Watch::Watch(Watchdog& dog, std::string what, Clock::time_point until, Clock::duration silence) : dog_(dog) {
  {
    const std::lock_guard lock(dog.mutex_);
    dog.watching_ = true;
    dog.what_ = std::move(what);
    dog.until_ = until;
    dog.patience_ = silence / kTick;
  }
  dog.sign_of_life();
  dog.changed_.notify_all();
}

Watchdog::Watch::~Watch() {
  const std::lock_guard lock(dog_.mutex_);
  dog_.watching_ = false;
}

void Watchdog::run() {
  uint64_t last = 0;
  int64_t silent = 0;
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!watching_) {
      changed_.wait(lock, [&] { return watching_ || stop_; });
      silent = 0;
      continue;
    }
    changed_.wait_for(lock, kTick, [&] { return stop_; });
    const uint64_t signs = signs_.load(std::memory_order_relaxed);
    silent = signs == last ? silent + 1 : 0;
    last = signs;
    if (!watching_ || stop_ || (Clock::now() < until_ && silent < patience_)) continue;
    const std::string what = what_;
    lock.unlock();
    give_up_(what);
    return;
  }
}

}  // namespace hinoki
