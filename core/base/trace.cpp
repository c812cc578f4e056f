#include "core/base/trace.h"

#include <chrono>
#include <cstdio>

#include "core/base/check.h"
#include "core/base/json.h"

namespace hinoki {
namespace {

std::string quoted(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string microseconds(int64_t nanoseconds) {
  char text[40];
  const uint64_t size = nanoseconds < 0 ? 0 - uint64_t(nanoseconds) : uint64_t(nanoseconds);
  std::snprintf(text, sizeof text, "%s%llu.%03u", nanoseconds < 0 ? "-" : "", (unsigned long long)(size / 1000),
                unsigned(size % 1000));
  return text;
}

std::string named(const char* what, int rank, size_t thread, const std::string& name) {
  return say("{\"ph\": \"M\", \"name\": \"", what, "\", \"pid\": ", rank, ", \"tid\": ", thread,
             ", \"args\": {\"name\": ", quoted(name), "}}");
}

}  // namespace

constinit thread_local Timeline::Lane* Timeline::lane_ = nullptr;

int64_t Timeline::now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Timeline::Event* Timeline::Lane::begin(const char* name, const char* key, int64_t value) {
  const size_t at = count.load(std::memory_order_relaxed);
  if (at == timeline.capacity_) {
    lost.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  Event& e = events[at];
  e.name = name;
  e.key = key;
  e.value = value;
  e.end.store(0, std::memory_order_relaxed);
  e.begin = Timeline::now();
  count.store(at + 1, std::memory_order_release);  // from here on others may read it
  return &e;
}

int64_t Timeline::lost() const {
  const std::lock_guard lock(mutex_);
  int64_t lost = 0;
  for (const auto& lane : lanes_) lost += lane->lost.load(std::memory_order_relaxed);
  return lost;
}

std::string Timeline::events(int rank, const std::string& process, int64_t zero) const {
  const std::lock_guard lock(mutex_);
  std::string text = named("process_name", rank, 0, process);
  text += say(",\n{\"ph\": \"M\", \"name\": \"process_sort_index\", \"pid\": ", rank,
              ", \"args\": {\"sort_index\": ", rank, "}}");
  for (size_t thread = 0; thread < lanes_.size(); ++thread) {
    const Lane& lane = *lanes_[thread];
    text += ",\n" + named("thread_name", rank, thread, lane.thread);
    const std::string place = say("\", \"ph\": \"X\", \"pid\": ", rank, ", \"tid\": ", thread, ", \"ts\": ");
    const size_t count = lane.count.load(std::memory_order_acquire);
    int64_t open_until = 0;  // of all that are open, so that they nest; read after the first of them was seen open
    for (size_t i = 0; i < count; ++i) {
      const Event& e = lane.events[i];
      int64_t end = e.end.load(std::memory_order_acquire);
      const bool open = end == 0;
      if (open && open_until == 0) open_until = now();
      // What ended after an event around it was seen open ends with that one, at the latest.
      if (open || (open_until != 0 && end > open_until)) end = open_until;
      if (end < e.begin) continue;  // begun after that moment
      text += say(",\n{\"name\": \"", e.name, place, microseconds(e.begin - zero),
                  ", \"dur\": ", microseconds(end - e.begin));
      if (e.key || open) text += ", \"args\": {";
      if (e.key) text += say("\"", e.key, "\": ", e.value, open ? ", " : "");
      if (open) text += "\"unfinished\": true";
      text += e.key || open ? "}}" : "}";
    }
  }
  return text;
}

JoinTimeline::JoinTimeline(Timeline* timeline, const char* thread) : before_(Timeline::lane_) {
  Timeline::lane_ = nullptr;
  if (!timeline) return;
  const std::lock_guard lock(timeline->mutex_);
  Timeline::lane_ = timeline->lanes_.emplace_back(std::make_unique<Timeline::Lane>(*timeline, thread)).get();
}

}  // namespace hinoki
