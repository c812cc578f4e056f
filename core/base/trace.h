// What the threads of a rank do when, for the timeline views of Chrome and Perfetto (trace event format).
//
//   Timeline timeline;
//   const JoinTimeline here(&timeline, "training");       // this thread, until the end of the block
//   std::thread t = traced_thread("reducer", [] { ... }); // joins what its starter has joined
//   const Trace trace("exchange", "bucket", 3);           // an event, until the end of the block
//   Trace("sum"), add(x, y);                              // or of the statement
//
// An event costs a read of a thread's own variable where there is no timeline, one relaxed load more where it does not
// record, and two clock readings where it does. It allocates nothing: a thread reserves its events as it joins, and
// what does not fit is counted and left out. Ranks that are threads of one process have a timeline each.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hinoki {

class Timeline {
 public:
  explicit Timeline(size_t events_of_a_thread = size_t(1) << 16) : capacity_(events_of_a_thread) {}
  Timeline(const Timeline&) = delete;

  void record(bool on) { on_.store(on, std::memory_order_relaxed); }
  int64_t lost() const;  // events that found no place

  // The events begun so far as JSON objects with commas between them, of process `rank` with the name `process`, in
  // microseconds after `zero`. One that has not ended yet ends now, and says so. Others may go on to record.
  std::string events(int rank, const std::string& process, int64_t zero) const;
  static int64_t now();  // nanoseconds of the clock that events are timed by

 private:
  friend class JoinTimeline;
  friend class Trace;
  struct Event {
    const char *name, *key;  // literals
    int64_t value, begin;
    std::atomic<int64_t> end;  // 0: it has not ended
  };
  struct Lane {  // a thread's events; only that thread adds to them
    Lane(Timeline& timeline, std::string thread)
        : timeline(timeline), thread(std::move(thread)), events(new Event[timeline.capacity_]) {}
    Event* begin(const char* name, const char* key, int64_t value);

    Timeline& timeline;
    const std::string thread;
    const std::unique_ptr<Event[]> events;
    std::atomic<size_t> count = 0;
    std::atomic<int64_t> lost = 0;
  };
  static constinit thread_local Lane* lane_;  // the calling thread's

  const size_t capacity_;
  std::atomic<bool> on_ = false;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

// The calling thread is on the timeline while it lives, which may be none. The timeline must live longer.
class JoinTimeline {
 public:
  JoinTimeline(Timeline* timeline, const char* thread);
  ~JoinTimeline() { Timeline::lane_ = before_; }
  JoinTimeline(const JoinTimeline&) = delete;
  static Timeline* joined() { return Timeline::lane_ ? &Timeline::lane_->timeline : nullptr; }

 private:
  Timeline::Lane* const before_;
};

template <class F>
std::thread traced_thread(const char* name, F f) {
  return std::thread([timeline = JoinTimeline::joined(), name, f = std::move(f)]() mutable {
    const JoinTimeline here(timeline, name);
    f();
  });
}

class Trace {
 public:
  explicit Trace(const char* name, const char* key = nullptr, int64_t value = 0)
      : event_(Timeline::lane_ && Timeline::lane_->timeline.on_.load(std::memory_order_relaxed)
                   ? Timeline::lane_->begin(name, key, value)
                   : nullptr) {}
  ~Trace() {
    if (event_) event_->end.store(Timeline::now(), std::memory_order_release);
  }
  Trace(const Trace&) = delete;

 private:
  Timeline::Event* const event_;
};

// A file that the timeline views open, of such events.
constexpr const char* kTraceHead = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n";
constexpr const char* kTraceTail = "\n]}\n";

}  // namespace hinoki
