#include "core/base/parallel.h"

#include <sched.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/base/spin.h"

namespace hinoki {
namespace {

thread_local ThreadPool* own_pool = nullptr;
thread_local bool inside_task = false;

std::unique_ptr<ThreadPool>& program_pool() {
  static std::unique_ptr<ThreadPool> pool;
  return pool;
}

}  // namespace

struct ThreadPool::State {
  // Written by run() before `generation` is raised.
  void (*body)(void*, int64_t) = nullptr;
  void* context = nullptr;
  int64_t tasks = 0;

  std::atomic<uint32_t> generation{0};
  std::atomic<int64_t> next{0};
  std::atomic<int> working{0};
  std::atomic<bool> stop{false};
  std::mutex error_mutex;
  std::exception_ptr error;
  std::mutex run_mutex;  // one loop at a time
  std::vector<std::thread> workers;

  void work() {
    inside_task = true;
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
      try {
        body(context, i);
      } catch (...) {
        const std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
      }
    }
    inside_task = false;
  }

  void serve() {
    uint32_t seen = 0;
    while (true) {
      if (!spin_until([&] { return generation.load(std::memory_order_acquire) != seen; }))
        generation.wait(seen, std::memory_order_acquire);
      if (generation.load(std::memory_order_acquire) == seen) continue;
      seen = generation.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_acquire)) return;
      work();
      if (working.fetch_sub(1, std::memory_order_acq_rel) == 1) working.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  for (int i = 1; i < threads; ++i) state_->workers.emplace_back([s = state_.get()] { s->serve(); });
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  state_->generation.fetch_add(1, std::memory_order_release);
  state_->generation.notify_all();
  for (auto& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::run(int64_t tasks, void (*body)(void*, int64_t), void* context) {
  State& s = *state_;
  if (tasks <= 1 || s.workers.empty() || inside_task) {
    for (int64_t i = 0; i < tasks; ++i) body(context, i);
    return;
  }
  const std::lock_guard lock(s.run_mutex);
  s.body = body;
  s.context = context;
  s.tasks = tasks;
  s.error = nullptr;
  s.next.store(0, std::memory_order_relaxed);
  s.working.store(static_cast<int>(s.workers.size()), std::memory_order_relaxed);
  s.generation.fetch_add(1, std::memory_order_release);
  s.generation.notify_all();
  s.work();
  if (!spin_until([&] { return s.working.load(std::memory_order_acquire) == 0; }))
    for (int left; (left = s.working.load(std::memory_order_acquire)) != 0;) s.working.wait(left);
  if (s.error) std::rethrow_exception(s.error);
}

ThreadPool& pool() {
  if (own_pool) return *own_pool;
  static std::once_flag once;
  std::call_once(once, [] {
    if (!program_pool()) program_pool() = std::make_unique<ThreadPool>(hardware_threads());
  });
  return *program_pool();
}

void set_threads(int threads) { program_pool() = std::make_unique<ThreadPool>(std::max(1, threads)); }

void set_default_threads(int threads) {
  if (!program_pool()) set_threads(threads);
}

int hardware_threads() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

UsePool::UsePool(ThreadPool& own) : before_(own_pool) { own_pool = &own; }
UsePool::~UsePool() { own_pool = before_; }

}  // namespace hinoki
