// What a timeline says, read back from its JSON.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

#include "core/base/json.h"
#include "core/base/trace.h"

namespace hinoki::test {

struct TimelineEvent {
  std::string thread, name;
  int64_t rank, begin, end;  // nanoseconds, which the file has exactly
  Json args;
};

// The events of a file, in its order: that of their beginnings on each thread.
inline std::vector<TimelineEvent> read_timeline(const std::string& text) {
  const Json file = parse_json(text, "timeline");
  std::map<std::pair<int64_t, int64_t>, std::string> threads;
  std::vector<TimelineEvent> events;
  for (const Json& e : file["traceEvents"]) {
    if (e["ph"] == "M" && e["name"] == "thread_name") threads[{e["pid"], e["tid"]}] = e["args"]["name"];
    if (e["ph"] != "X") continue;
    const auto nanoseconds = [&](const char* key) { return std::llround(e[key].get<double>() * 1000); };
    const int64_t begin = nanoseconds("ts");
    events.push_back({.thread = threads.at({e["pid"], e["tid"]}),
                      .name = e["name"],
                      .rank = e["pid"],
                      .begin = begin,
                      .end = begin + nanoseconds("dur"),
                      .args = e.value("args", Json::object())});
  }
  return events;
}

// On its thread every event lies inside of the one that was open when it began, or after it.
inline void expect_nested(const std::vector<TimelineEvent>& events) {
  std::map<std::pair<int64_t, std::string>, std::vector<TimelineEvent>> open;
  for (const TimelineEvent& e : events) {
    auto& around = open[{e.rank, e.thread}];
    EXPECT_LE(e.begin, e.end) << e.name;
    while (!around.empty() && around.back().end <= e.begin) around.pop_back();
    if (!around.empty()) {
      EXPECT_LE(around.back().begin, e.begin) << e.name << " in " << around.back().name;
      EXPECT_GE(around.back().end, e.end) << e.name << " in " << around.back().name;
    }
    around.push_back(e);
  }
}

inline int64_t overlap(const TimelineEvent& a, const TimelineEvent& b) {
  return std::max<int64_t>(0, std::min(a.end, b.end) - std::max(a.begin, b.begin));
}

}  // namespace hinoki::test
