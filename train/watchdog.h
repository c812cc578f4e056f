// Looks after a thread that calls a library which may never return. Whoever is watched says when it must be done, and
// gives a sign of life whenever the library lets it: without either the watchdog gives up, on a thread of its own.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace hinoki {

class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;

  // give_up(what) is called once, by the watchdog's thread.
  explicit Watchdog(std::function<void(const std::string& what)> give_up);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;

  // From here to the end of its life something is watched. `silence`: the longest time without a sign of life, counted
  // while this process runs (not while it is stopped).
  class Watch {
   public:
    Watch(Watchdog& dog, std::string what, Clock::time_point until, Clock::duration silence);
    ~Watch();
    Watch(const Watch&) = delete;

   private:
    Watchdog& dog_;
  };
  void sign_of_life() { signs_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void run();

  static constexpr auto kTick = std::chrono::milliseconds(250);
  std::function<void(const std::string&)> give_up_;
  std::atomic<uint64_t> signs_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool watching_ = false, stop_ = false;
  std::string what_;
  Clock::time_point until_;
  int64_t patience_ = 0;  // ticks
  std::thread thread_;    // last: it uses the others
};

}  // namespace hinoki
