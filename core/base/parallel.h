// Loops over threads. What a task computes never depends on which thread runs it or on how many there are: callers cut
// the work into fixed tasks, and reductions combine per-task partial results in task order.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>

namespace hinoki {

// A few threads that spin briefly for the next loop, then sleep: cores may be shared with other programs.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

  int threads() const;
  // Calls body(context, task) once for each task in [0, tasks) and returns when all are done. The first exception is
  // thrown again here. A call from inside a task runs on the calling thread alone.
  void run(int64_t tasks, void (*body)(void*, int64_t), void* context);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The pool of the calling thread: its own if it has set one (a rank that is a thread), else the program's.
ThreadPool& pool();
void set_threads(int threads);  // of the program's pool; before any loop runs
void set_default_threads(int threads);  // the same where nobody has set them
int hardware_threads();                 // cores this process may use

// Makes `own` the calling thread's pool while it lives.
class UsePool {
 public:
  explicit UsePool(ThreadPool& own);
  ~UsePool();

 private:
  ThreadPool* before_;
};

template <class Body>
void parallel(int64_t tasks, Body&& body) {
  pool().run(
      tasks, [](void* b, int64_t i) { (*static_cast<std::remove_reference_t<Body>*>(b))(i); }, &body);
}

// body(begin, end) for consecutive blocks of `block` items; the last one may be short.
template <class Body>
void parallel_blocks(int64_t items, int64_t block, Body&& body) {
  parallel((items + block - 1) / block, [&](int64_t i) { body(i * block, std::min(items, (i + 1) * block)); });
}

}  // namespace hinoki
