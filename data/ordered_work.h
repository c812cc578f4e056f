// Items from a source are worked on by several threads and taken in the source's order. Only a few are in memory at
// once, and what is taken does not depend on the number of threads. An error comes out when its item's turn comes, so
// that it is always the first one.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace hinoki {

template <class In, class Out>
class OrderedWork {
 public:
  std::function<std::optional<In>()> next;  // called by one thread at a time, in order
  std::function<Out(In&&)> work;            // called by all
  std::function<void(Out&&)> take;          // called by one thread at a time, in order
  // Of what size an item is; none is read while those in memory have `most` together.
  std::function<int64_t(const In&)> size = [](const In&) { return 0; };
  int64_t most = 1;

  void run(int threads) {
    ahead_ = 2 * threads + 2;
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back([this] { loop(); });
    loop();
    for (std::thread& t : others) t.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  struct Result {
    int64_t size = 0;
    std::optional<Out> out;
    std::exception_ptr error;
  };

  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return over() || (!reading_ && started_ - taken_ < ahead_ && held_ < most); });
      if (over()) return;
      const int64_t number = started_++;
      reading_ = true;
      lock.unlock();
      Result result;
      std::optional<In> in;
      attempt(result, [&] { in = next(); });
      lock.lock();
      reading_ = false;
      if (in) held_ += result.size = size(*in);
      if (!in) exhausted_ = true;  // or it failed, and then nothing after it counts
      changed_.notify_all();
      lock.unlock();
      if (in) attempt(result, [&] { result.out.emplace(work(std::move(*in))); });
      in.reset();
      lock.lock();
      waiting_.emplace(number, std::move(result));
      deliver(lock);
    }
  }

  template <class F>
  static void attempt(Result& result, F&& f) {
    try {
      f();
    } catch (...) {
      result.error = std::current_exception();
    }
  }

  // Takes what is next in order, unless another thread is at it; that one will see what was added meanwhile.
  void deliver(std::unique_lock<std::mutex>& lock) {
    while (!taking_ && !error_ && !waiting_.empty() && waiting_.begin()->first == taken_) {
      Result result = std::move(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
      taking_ = true;
      lock.unlock();
      if (result.out && !result.error) attempt(result, [&] { take(std::move(*result.out)); });
      result.out.reset();
      lock.lock();
      taking_ = false;
      ++taken_;
      held_ -= result.size;
      if (result.error) error_ = result.error;
      changed_.notify_all();
    }
  }

  bool over() const { return error_ || exhausted_; }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, Result> waiting_;
  std::exception_ptr error_;
  int64_t started_ = 0, taken_ = 0, ahead_ = 0, held_ = 0;
  bool reading_ = false, taking_ = false, exhausted_ = false;
};

}  // namespace hinoki
