#include "train/schedule.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace hinoki::schedule_test {
namespace {

// From 1 % of the peak, up in 10 steps, 20 there, down to 5 % over the last 25.
Schedule tri_stage() {
  return {.peak = 2e-5, .floor = 1e-6, .start = 2e-7, .warmup = 10, .hold = 20, .decay = Decay::exponential};
}

TEST(Schedule, HasThreeStages) {
  const Schedule s = tri_stage();
  const auto at = [&](int64_t step) { return s.at(step, 55); };
  EXPECT_DOUBLE_EQ(at(0), 2e-7);
  EXPECT_DOUBLE_EQ(at(5), 2e-7 + (2e-5 - 2e-7) / 2);
  for (const int64_t step : {10, 20, 30}) EXPECT_DOUBLE_EQ(at(step), 2e-5) << step;
  EXPECT_DOUBLE_EQ(at(35), 2e-5 * std::pow(0.05, 5.0 / 25));
  EXPECT_NEAR(at(32) / at(31), at(50) / at(49), 1e-12);  // the same share each step
  EXPECT_NEAR(at(55), 1e-6, 1e-18);
  EXPECT_NEAR(at(1000), 1e-6, 1e-18);
}

// The published recipe ends long before its decay does.
TEST(Schedule, IsCutOffWhereTheRunEnds) {
  Schedule s = tri_stage();
  s.hold = 0, s.decay_steps = 90;
  EXPECT_DOUBLE_EQ(s.at(50, 51), 2e-5 * std::pow(0.05, 0.5));
}

// Half a cosine from the peak to the floor: a third of the way down the angle there is still 3/4 of the height.
TEST(Schedule, FallsToItsFloorByACosine) {
  const Schedule s{.peak = 6e-4, .floor = 6e-5, .warmup = 10, .decay = Decay::cosine};
  const auto at = [&](int64_t step) { return s.at(step, 70); };
  EXPECT_DOUBLE_EQ(at(10), 6e-4);
  EXPECT_DOUBLE_EQ(at(30), 6e-5 + 0.75 * (6e-4 - 6e-5));
  EXPECT_DOUBLE_EQ(at(40), 3.3e-4);
  for (const int64_t step : {70, 1000}) EXPECT_DOUBLE_EQ(at(step), 6e-5) << step;
}

TEST(Schedule, StaysAtItsPeakIfConstant) {
  const Schedule s{.peak = 3e-4, .floor = 1e-5, .warmup = 4, .decay = Decay::constant};
  EXPECT_DOUBLE_EQ(s.at(1, 100), 1.5e-4);
  for (const int64_t step : {4, 50, 100}) EXPECT_DOUBLE_EQ(s.at(step, 100), 3e-4) << step;
}

TEST(Schedule, RisesFromItsFirstStepWithoutAStart) {
  const Schedule s{.peak = 1, .warmup = 4, .decay = Decay::linear};
  EXPECT_EQ(s.at(0, 14), 0.25);
  EXPECT_EQ(s.at(3, 14), 1);
  EXPECT_EQ(s.at(9, 14), 0.5);
  EXPECT_EQ(s.at(14, 14), 0);
}

TEST(Schedule, SaysWhatCannotBe) {
  Schedule s = tri_stage();
  s.floor = 0;
  EXPECT_ERROR(s.check(), Exit::usage, "never decays to a floor of 0");
  s = tri_stage(), s.start = 1;
  EXPECT_ERROR(s.check(), Exit::usage, "start 1 is not between 0 and its peak 2e-05");
  s = tri_stage(), s.hold = -1;
  EXPECT_ERROR(s.check(), Exit::usage, "hold");
  tri_stage().check();
}

}  // namespace
}  // namespace hinoki::schedule_test
