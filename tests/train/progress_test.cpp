#include "train/progress.h"

#include <gtest/gtest.h>

#include <regex>

namespace hinoki {
namespace {

// 2,048 tokens a step, a million floating-point operations each: 4.096 GFLOP/s at 4,096 tokens a second.
const Throughput kTokens{.unit = "tok/s", .step = 2048, .flops = 1e6};

// Made while stderr is a file, so that no live line is drawn, wherever the tests run.
Progress progress(int64_t steps, const Throughput& work, double peak_gflops) {
  testing::internal::CaptureStderr();
  Progress made(steps, 50, work, peak_gflops);
  testing::internal::GetCapturedStderr();
  return made;
}

StepReport report(int64_t step, double seconds) {
  return {.step = step, .loss = 5.25043, .learning_rate = 1.16e-3, .gradient_norm = 0.6851, .seconds = seconds};
}

// The line that a step shows, with the memory, which depends on the tests before this, as "M MiB".
std::string line_of(Progress& progress, const StepReport& report) {
  testing::internal::CaptureStderr();
  progress.step(report);
  return std::regex_replace(testing::internal::GetCapturedStderr(), std::regex("[0-9,]+ MiB"), "M MiB");
}

TEST(Progress, SaysWhatASecondBringsAndWhenItEnds) {
  Progress p = progress(1000, kTokens, 8.192);
  EXPECT_EQ(line_of(p, report(50, 0.5)),
            "step   50/1000 | loss 5.2504 | lr 1.16e-03 | norm 0.685 | 4,096 tok/s | 50 % of peak | M MiB | eta 7m55s\n");
  EXPECT_DOUBLE_EQ(p.rate(), 4096);
  EXPECT_DOUBLE_EQ(p.share_of_peak(), 0.5);
}

// Of the last steps, each counts 0.9 of the next: after half a second and two, 1.9 steps in 2.45 s.
TEST(Progress, WeighsTheLastStepsMost) {
  Progress p = progress(1000, kTokens, 8.192);
  line_of(p, report(899, 0.5));
  EXPECT_EQ(line_of(p, report(900, 2)),
            "step  900/1000 | loss 5.2504 | lr 1.16e-03 | norm 0.685 | 1,588 tok/s | 19 % of peak | M MiB | eta 2m09s\n");
}

TEST(Progress, LeavesOutWhatItCannotSay) {
  Progress unknown = progress(8, {.unit = "seq/s", .step = 4, .flops = 1e6}, 0);
  StepReport last = report(8, 2);
  last.shown.text = "accuracy 0.91";
  EXPECT_EQ(line_of(unknown, last),
            "step 8/8 | loss 5.2504 | lr 1.16e-03 | norm 0.685 | 2 seq/s | accuracy 0.91 | M MiB\n");
}

TEST(Progress, SaysALineAtTheFirstStepTheLastAndEachIntervals) {
  Progress p = progress(120, kTokens, 0);
  std::string said;
  for (int64_t step = 1; step <= 120; ++step)
    if (!line_of(p, report(step, 1)).empty()) said += std::to_string(step) + " ";
  EXPECT_EQ(said, "1 50 100 120 ");
}

TEST(Progress, WritesNumbersForPeople) {
  EXPECT_EQ(duration(59.4), "59s");
  EXPECT_EQ(duration(59.6), "1m00s");
  EXPECT_EQ(duration(3599), "59m59s");
  EXPECT_EQ(duration(2 * 3600 + 5 * 60 + 59), "2h05m");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-1000), "-1,000");
  EXPECT_EQ(mebibytes(1536.0 * (1 << 20)), "1,536 MiB");
}

}  // namespace
}  // namespace hinoki
