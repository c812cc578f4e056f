// Makes the next items on a thread of its own while the current one is used: item n is make(n), in order.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "core/base/trace.h"

namespace hinoki {

template <class Item>
class Prefetch {
 public:
  // At most `ahead` items wait. What make() throws comes out of the next() that would have given its item.
  Prefetch(std::function<Item(int64_t)> make, int64_t first, int64_t ahead = 2)
      : make_(std::move(make)), ahead_(ahead), thread_(traced_thread("prefetch", [this, first] { run(first); })) {}
  Prefetch(const Prefetch&) = delete;
  ~Prefetch() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Item next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !ready_.empty() || error_; });
    if (ready_.empty()) std::rethrow_exception(error_);
    Item item = std::move(ready_.front());
    ready_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return item;
  }

 private:
  void run(int64_t position) {
    for (;; ++position) {
      std::optional<Item> item;
      std::exception_ptr error;
      try {
        item.emplace(make_(position));
      } catch (...) {
        error = std::current_exception();
      }
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || int64_t(ready_.size()) < ahead_; });
      if (stop_) return;
      if (item) ready_.push_back(std::move(*item));
      error_ = error;
      changed_.notify_all();
      if (error_) return;
    }
  }

  std::function<Item(int64_t)> make_;
  const int64_t ahead_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> ready_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace hinoki
