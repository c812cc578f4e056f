#include "core/base/worker.h"

#include <utility>

#include "core/base/parallel.h"

namespace hinoki {

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Worker::give(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (error_) return;
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void Worker::rethrow() {
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Worker::check() {
  const std::lock_guard lock(mutex_);
  rethrow();
}

void Worker::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return jobs_.empty(); });
  rethrow();
}

void Worker::serve() {
  ThreadPool alone(1);
  const UsePool use(alone);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const std::function<void()>& job = jobs_.front();
    lock.unlock();
    std::exception_ptr error;
    try {
      job();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    jobs_.pop_front();
    if (error) {
      jobs_.clear();
      error_ = error;
    }
    changed_.notify_all();
  }
}

}  // namespace hinoki
