#include "train/fleet_time.h"

#include <gtest/gtest.h>

namespace hinoki::fleet_time_test {
namespace {

constexpr FleetTime::Clock::time_point kBegin{};
constexpr auto after(int seconds) { return kBegin + std::chrono::seconds(seconds); }

TEST(FleetTime, GoodputIsTheShareOfUsefulSteps) {
  FleetTime fleet(kBegin, -1);
  EXPECT_EQ(fleet.goodput(after(5)), 0);
  fleet.step(1, 2, {2});
  fleet.step(2, 4, {4});
  EXPECT_EQ(fleet.goodput(after(12)), 0.5);
  EXPECT_EQ(fleet.goodput(kBegin), 0) << "no time has passed";
}

TEST(FleetTime, StepsDoneAgainAreNotUseful) {
  FleetTime fleet(kBegin, 7);
  for (int64_t step = 5; step <= 9; ++step) fleet.step(step, 1, {1});
  EXPECT_EQ(fleet.goodput(after(8)), 0.25);
}

TEST(FleetTime, TheSlowestRankIsMeasuredAgainstTheMedian) {
  FleetTime fleet(kBegin, -1);
  fleet.step(1, 3, {1.0, 1.5, 1.25, 0.5});
  fleet.step(2, 3, {1.0, 1.5, 1.25, 1.0});
  const auto slowest = fleet.slowest();
  ASSERT_TRUE(slowest);
  EXPECT_EQ(slowest->rank, 1);
  EXPECT_EQ(slowest->over_median, 0.5);  // sums: 2, 3, 2.5, 1.5
  EXPECT_FALSE(fleet.slowest()) << "nothing since it was last asked";
  fleet.step(3, 1, {1, 3});
  EXPECT_EQ(fleet.slowest()->rank, 1) << "what was before is forgotten";
}

TEST(FleetTime, ARankAloneHasNobodyToWaitFor) {
  FleetTime fleet(kBegin, -1);
  fleet.step(1, 3, {2});
  EXPECT_FALSE(fleet.slowest());
}

}  // namespace
}  // namespace hinoki::fleet_time_test
