#include "core/base/trace.h"

#include <chrono>
#include <latch>

#include "tests/support/timeline.h"

namespace hinoki::trace_test {
namespace {

using test::expect_nested;
using test::read_timeline;
using test::TimelineEvent;

std::vector<TimelineEvent> events_of(const Timeline& timeline, int rank = 0, int64_t zero = 0) {
  return read_timeline(kTraceHead + timeline.events(rank, "a \"rank\"", zero) + kTraceTail);
}

std::vector<std::string> names(const std::vector<TimelineEvent>& events) {
  std::vector<std::string> names;
  for (const TimelineEvent& e : events) names.push_back(e.name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Trace, RecordsWhatItsThreadDoesWhileItIsOn) {
  const Trace nowhere("no timeline");
  Timeline timeline;
  const JoinTimeline here(&timeline, "main");
  const Trace before("off");
  const int64_t zero = Timeline::now();
  timeline.record(true);
  {
    const Trace outer("outer", "step", 7);
    Trace("inner"), static_cast<void>(Timeline::now());
    const Trace inner("inner", "bucket", -1);
  }
  timeline.record(false);
  const Trace after("off");
  const auto events = events_of(timeline, 3, zero);
  EXPECT_EQ(names(events), (Names{"outer", "inner", "inner"}));
  expect_nested(events);
  for (const TimelineEvent& e : events) {
    EXPECT_EQ(e.rank, 3);
    EXPECT_EQ(e.thread, "main");
    EXPECT_GE(e.begin, 0);
    EXPECT_LE(e.end, Timeline::now() - zero);
  }
  EXPECT_LE(events[1].end, events[2].begin) << "an event of a statement ends with it";
  EXPECT_EQ(events[0].args, (Json{{"step", 7}}));
  EXPECT_EQ(events[1].args, Json::object());
  EXPECT_EQ(events[2].args, (Json{{"bucket", -1}}));
}

TEST(Trace, ThreadsJoinTheTimelineOfWhoStartsThem) {
  Timeline timelines[2];
  std::vector<std::thread> ranks;
  for (Timeline& timeline : timelines)
    ranks.emplace_back([&timeline, &timelines] {
      const JoinTimeline here(&timeline, "training");
      timeline.record(true);
      const Trace trace(&timeline == timelines ? "first" : "second");
      traced_thread("helper", [&] {
        const Trace inside(&timeline == timelines ? "first's helper" : "second's helper");
        traced_thread("helper of the helper", [] { const Trace deep("deep"); }).join();
      }).join();
    });
  for (std::thread& t : ranks) t.join();
  traced_thread("nobody's", [] { const Trace lost("lost"); }).join();
  EXPECT_EQ(names(events_of(timelines[0])), (Names{"first", "first's helper", "deep"}));
  const auto second = events_of(timelines[1]);
  EXPECT_EQ(names(second), (Names{"second", "second's helper", "deep"}));
  EXPECT_EQ(second[1].thread, "helper");
  EXPECT_EQ(second[2].thread, "helper of the helper");
}

TEST(Trace, WhatHasNotEndedEndsNowAndNests) {
  Timeline timeline;
  const JoinTimeline here(&timeline, "main");
  timeline.record(true);
  const Trace outer("outer");
  Trace("done"), static_cast<void>(0);
  const Trace inner("inner", "n", 1);
  const auto events = events_of(timeline);
  EXPECT_EQ(names(events), (Names{"outer", "done", "inner"}));
  expect_nested(events);
  EXPECT_EQ(events[0].end, events[2].end);
  EXPECT_EQ(events[0].args, (Json{{"unfinished", true}}));
  EXPECT_EQ(events[1].args, Json::object());
  EXPECT_EQ(events[2].args, (Json{{"n", 1}, {"unfinished", true}}));
}

TEST(Trace, WhatFindsNoPlaceIsCounted) {
  Timeline timeline(3);
  const JoinTimeline here(&timeline, "main");
  timeline.record(true);
  for (int i = 0; i < 5; ++i) Trace("event", "i", i), static_cast<void>(0);
  EXPECT_EQ(timeline.lost(), 2);
  EXPECT_EQ(events_of(timeline).size(), 3);
}

// Read again and again while another thread opens and closes events: the sanitizers and the nesting tell of races.
TEST(Trace, MayBeReadWhileOthersRecord) {
  Timeline timeline(6000);
  const JoinTimeline here(&timeline, "main");
  timeline.record(true);
  std::atomic<bool> stop = false;
  std::latch begun(1);
  std::thread busy = traced_thread("busy", [&] {
    for (int64_t i = 0; !stop; ++i) {
      const Trace outer("outer", "i", i);
      const Trace middle("middle", "i", i);
      if (i == 0) begun.count_down();
      Trace("inner", "i", i), std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
  begun.wait();
  // When it is full nobody records any more.
  int readings = 0;
  do expect_nested(events_of(timeline));
  while (++readings < 50 && timeline.lost() == 0);
  stop = true;
  busy.join();
  const auto events = events_of(timeline);
  EXPECT_GE(events.size(), 3);
  expect_nested(events);
}

TEST(Trace, NamesOfProcessesAreEscaped) {
  const Timeline timeline;
  const Json file = parse_json(kTraceHead + timeline.events(1, "rank \"1\"\n\xff", 0) + kTraceTail, "timeline");
  EXPECT_EQ(file["traceEvents"][0]["args"]["name"], "rank \"1\"\n\xef\xbf\xbd");
}

}  // namespace
}  // namespace hinoki::trace_test
