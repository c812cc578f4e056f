// What people see of a running training: each figure of a line by hand, from steps whose times are given.
#include "train/progress.h"

#include <gtest/gtest.h>

#include <sstream>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/scratch.h"
#include "core/storage.h"
#include "core/tensor.h"
#include "tests/support/quiet_test.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::progress_test {
namespace {

using Lines = std::vector<std::string>;

class ProgressTest : public test::QuietTest<> {
 protected:
  // The lines that are there to stay.
  template <class F>
  Lines lines_of(F&& f) const {
    const std::string log = (folder.path() / "log.txt").string();
    std::filesystem::remove(log);
    copy_log_to(log);
    f();
    copy_log_to("");
    Lines lines;
    std::istringstream text(bytes_of_file(log));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  // The same of steps, without what they say of memory.
  Lines shown(Progress progress, const std::vector<StepReport>& steps) const {
    Lines lines = lines_of([&] {
      for (const StepReport& step : steps) progress.step(step);
    });
    for (std::string& line : lines) {
      const size_t end = line.find(" MiB"), begin = line.rfind(" | ", end);
      EXPECT_NE(end, line.npos) << line;
      if (end != line.npos) line.erase(begin, end + 4 - begin);
    }
    return lines;
  }

  TemporaryFolder folder;
};

const Throughput kTokens{.one = "token", .many = "tokens", .unit = "tok/s", .step = 4096, .flops = 1e6};

// The last step weighs 1, the one before it 0.9, and so on: 4,096 / 2 s; then (0.9 + 1) x 4,096 / (0.9 x 2 s + 1 s) =
// 2,779.4; then 2.71 x 4,096 / (0.9 x 2.8 s + 0.5 s) = 3,675.5. Each token is a megaflop, the peak 5 gigaflops a
// second: 40.96 %, 55.6 %, 73.5 %. To the end: 4,999 x 2 s = 9,998 s; 4,998 x 1.4737 s = 7,365 s; 4,997 x 1.1144 s =
// 5,569 s.
TEST_F(ProgressTest, EveryFigureOfALine) {
  const Lines lines =
      shown({5000, 1, kTokens, 5},
            {{.step = 1, .loss = 9.12345, .learning_rate = 1.5e-5, .gradient_norm = 2.0004, .seconds = 2},
             {.step = 2, .loss = 8, .learning_rate = 6e-4, .gradient_norm = 12.3456, .seconds = 1},
             {.step = 3, .loss = 0.00004, .learning_rate = 0, .gradient_norm = 0, .seconds = 0.5}});
  EXPECT_EQ(
      lines,
      (Lines{"step    1/5000 | loss 9.1235 | lr 1.50e-05 | norm 2.000 | 2,048 tok/s | 41 % of peak | eta 2h46m",
             "step    2/5000 | loss 8.0000 | lr 6.00e-04 | norm 12.346 | 2,779 tok/s | 56 % of peak | eta 2h02m",
             "step    3/5000 | loss 0.0000 | lr 0.00e+00 | norm 0.000 | 3,675 tok/s | 74 % of peak | eta 1h32m"}));
}

// A slow first step is forgotten: after 200 more of half a second, its 100 s weigh 100 x 0.9^200, which is nothing.
TEST_F(ProgressTest, TheRateIsThatOfTheLastSteps) {
  Progress progress(1000, 1000, kTokens, 0);
  progress.step({.step = 2, .seconds = 100});
  EXPECT_DOUBLE_EQ(progress.rate(), 40.96);
  for (int64_t i = 0; i < 200; ++i) progress.step({.step = 3 + i, .seconds = 0.5});
  EXPECT_NEAR(progress.rate(), 8192, 0.01);
  EXPECT_FALSE(progress.knows_peak());
  EXPECT_EQ(progress.share_of_peak(), 0);
}

// No peak, no share; what a task shows beside its loss stands before both; the last step has nothing to wait for.
TEST_F(ProgressTest, WhatIsUnknownIsNotShown) {
  const Throughput hours{.unit = "s/s", .step = 30, .flops = 1e9};
  EXPECT_EQ(shown({9, 1, hours, 0}, {{.step = 8, .loss = 1, .seconds = 3, .shown = {"accuracy 0.91", {}}},
                                     {.step = 9, .loss = 1, .seconds = 3}}),
            (Lines{"step 8/9 | loss 1.0000 | lr 0.00e+00 | norm 0.000 | 10 s/s | accuracy 0.91 | eta 3s",
                   "step 9/9 | loss 1.0000 | lr 0.00e+00 | norm 0.000 | 10 s/s"}));
  EXPECT_EQ(shown({1, 1, hours, 20}, {{.step = 1, .loss = 1, .seconds = 3, .shown = {"accuracy 0.91", {}}}}),
            (Lines{"step 1/1 | loss 1.0000 | lr 0.00e+00 | norm 0.000 | 10 s/s | accuracy 0.91 | 50 % of peak"}));
}

TEST_F(ProgressTest, ALineForTheFirstStepEachIntervalAndTheLast) {
  std::vector<StepReport> steps;
  for (int64_t i = 1; i <= 25; ++i) steps.push_back({.step = i, .seconds = 1});
  std::string said;
  for (const std::string& line : shown({25, 10, kTokens, 0}, steps)) said += line.substr(0, line.find(" |")) + ";";
  EXPECT_EQ(said, "step  1/25;step 10/25;step 20/25;step 25/25;");
}

// The most that tensors ever held, and what kernels hold beside them: filled up here to 40.25 MiB above a round figure.
TEST_F(ProgressTest, MemoryIsTheMostThatWasHeld) {
  constexpr size_t kMiB = 1 << 20;
  scratch_bytes(0, 3 * kMiB);
  release_cached_memory();
  const size_t held = memory_use().live + scratch_total(), round = (held / kMiB + 1) * kMiB;
  const std::string line = lines_of([&] {
                             reset_peak_memory();
                             { const Tensor more = empty({int64_t(round - held + 40 * kMiB + kMiB / 4)}, DType::u8); }
                             Progress(9, 1, kTokens, 0).step({.step = 9, .seconds = 1});
                           }).at(0);
  const std::string end = " tok/s | " + std::to_string(round / kMiB + 40) + " MiB";
  EXPECT_TRUE(line.ends_with(end)) << line << " does not end with" << end;
}

TEST(ProgressWords, Durations) {
  const std::vector<std::pair<double, const char*>> all = {
      {0, "0s"},       {12.4, "12s"},       {59.4, "59s"},       {59.6, "1m00s"}, {192, "3m12s"},
      {605, "10m05s"}, {3599.4, "59m59s"},  {3599.6, "1h00m"},   {7500, "2h05m"}, {7559, "2h05m"},
      {7560, "2h06m"}, {359'999, "99h59m"}, {360'000, "100h00m"}};
  for (const auto& [seconds, words] : all) EXPECT_EQ(duration(seconds), words) << seconds;
}

TEST(ProgressWords, GroupedDigits) {
  const std::vector<std::pair<int64_t, const char*>> all = {{0, "0"},
                                                            {999, "999"},
                                                            {1000, "1,000"},
                                                            {12345, "12,345"},
                                                            {999'999, "999,999"},
                                                            {-999, "-999"},
                                                            {-1000, "-1,000"},
                                                            {1'234'567, "1,234,567"},
                                                            {-123'456, "-123,456"},
                                                            {INT64_MAX, "9,223,372,036,854,775,807"},
                                                            {INT64_MIN, "-9,223,372,036,854,775,808"}};
  for (const auto& [n, words] : all) EXPECT_EQ(grouped(n), words);
}

TEST(ProgressWords, Mebibytes) {
  EXPECT_EQ(mebibytes(0), "0 MiB");
  EXPECT_EQ(mebibytes(524'287), "0 MiB");
  EXPECT_EQ(mebibytes(524'288), "1 MiB");
  EXPECT_EQ(mebibytes(812.4 * (1 << 20)), "812 MiB");
  EXPECT_EQ(mebibytes(1234.5 * (1 << 20)), "1,235 MiB");
}

}  // namespace
}  // namespace hinoki::progress_test
