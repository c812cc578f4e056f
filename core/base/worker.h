// One thread beside the caller's, which does the jobs it is given one after another.
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "core/base/trace.h"

namespace hinoki {

class Worker {
 public:
  explicit Worker(const char* name) : thread_(traced_thread(name, [this] { serve(); })) {}
  ~Worker();  // after its jobs; what the last of them threw is lost unless somebody waited
  Worker(const Worker&) = delete;

  // Loops inside of a job run on the worker alone: the pool is the caller's.
  void give(std::function<void()> job);
  // Throws what a job has thrown, once. The jobs that stood behind it were dropped.
  void check();
  void wait();  // until all jobs are done; then as check()

 private:
  void serve();
  void rethrow();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;  // the first one is at work
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace hinoki
