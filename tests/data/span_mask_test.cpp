#include "data/span_mask.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/expect_error.h"

namespace hinoki::span_mask_test {
namespace {

std::vector<int32_t> mask_of(const SpanMask& rule, int64_t frames, uint64_t row, double u = 0) {
  std::vector<int32_t> mask(static_cast<size_t>(frames));
  const int64_t masked = draw_span_mask(rule, u, {.seed = 1, .site = 2, .step = row}, mask);
  EXPECT_EQ(masked, std::count(mask.begin(), mask.end(), 1));
  return mask;
}

}  // namespace

TEST(Subset, EachOneIsEquallyLikely) {
  std::map<std::vector<int64_t>, int> seen;
  const int trials = 20'000;
  for (int i = 0; i < trials; ++i) ++seen[draw_subset(6, 3, {.seed = uint64_t(i)})];
  ASSERT_EQ(seen.size(), 20u);  // 6 over 3
  double chi = 0;
  for (const auto& [set, n] : seen) {
    ASSERT_TRUE(set[0] < set[1] && set[1] < set[2] && set[2] < 6);
    chi += std::pow(n - trials / 20.0, 2) / (trials / 20.0);
  }
  EXPECT_LT(chi, 43.8);  // 19 degrees of freedom: more in one of 1000 seeds, and this one is fixed
  EXPECT_EQ(draw_subset(4, 4, {}), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_TRUE(draw_subset(4, 0, {}).empty());
  EXPECT_TRUE(draw_subset(0, 0, {}).empty());
}

TEST(SpanMask, HoldsSpansOfTheLengthAskedFor) {
  const SpanMask rule;
  for (uint64_t row = 0; row < 200; ++row) {
    const std::vector<int32_t> mask = mask_of(rule, 199, row);
    EXPECT_EQ(mask.back(), 0) << "starts lie below frames - length, so the last frame is never covered";
    for (size_t t = 0, run = 0; t <= mask.size(); ++t) {
      if (t < mask.size() && mask[t] == 1) {
        ++run;
        continue;
      }
      EXPECT_TRUE(run == 0 || run >= 10) << "row " << row << ", before frame " << t;
      run = 0;
    }
  }
}

// n spans of `length` at different starts among `places`: frame t is left out if none of the starts that reach it is
// drawn, which are r of the places: (places - r over n) / (places over n).
TEST(SpanMask, CoversFramesAsOftenAsArithmeticSays) {
  const SpanMask rule;
  const int64_t frames = 199, places = 189, spans = 15, rows = 4000;
  ASSERT_EQ(rule.spans(frames, 0), spans);
  std::vector<double> covered(size_t(frames), 0);
  double squares = 0, total = 0;
  for (uint64_t row = 0; row < uint64_t(rows); ++row) {
    const std::vector<int32_t> mask = mask_of(rule, frames, row);
    double count = 0;
    for (size_t t = 0; t < mask.size(); ++t) covered[t] += mask[t], count += mask[t];
    total += count, squares += count * count;
  }
  double expected_total = 0;
  for (int64_t t = 0; t < frames; ++t) {
    const int64_t reach = std::min({t + 1, rule.length, frames - 1 - t, places});
    double left_out = 1;
    for (int64_t i = 0; i < spans; ++i) left_out *= double(places - reach - i) / double(places - i);
    expected_total += 1 - left_out;
    const double deviation = std::sqrt(left_out * (1 - left_out) / double(rows));
    EXPECT_NEAR(covered[size_t(t)] / double(rows), 1 - left_out, 5 * deviation + 1e-12) << "frame " << t;
  }
  const double mean = total / double(rows), variance = squares / double(rows) - mean * mean;
  EXPECT_NEAR(mean, expected_total, 5 * std::sqrt(variance / double(rows)));
  EXPECT_NEAR(expected_total / double(frames), 0.54, 0.02) << "far less than 0.8, for spans overlap";
}

TEST(SpanMask, RoundsTheNumberOfSpansAtRandom) {
  const SpanMask rule;
  EXPECT_EQ(rule.spans(199, 0.07), 15);  // 15.92
  EXPECT_EQ(rule.spans(199, 0.09), 16);
  EXPECT_EQ(rule.spans(20, 0.5), 2);
  EXPECT_EQ(rule.spans(12, 0), 2) << "never fewer than min_spans";
}

TEST(SpanMask, OfShortRowsStillHasItsSpans) {
  const SpanMask rule;
  for (int64_t frames = 3; frames < 14; ++frames) {
    const std::vector<int32_t> mask = mask_of(rule, frames, uint64_t(frames));
    EXPECT_GE(std::count(mask.begin(), mask.end(), 1), 2) << frames;
  }
  std::vector<int32_t> mask(2);
  EXPECT_ERROR(draw_span_mask(rule, 0, {}, mask), Exit::failure, "2 frames cannot hold 2 spans");
  EXPECT_ERROR((SpanMask{.probability = 1.5}.check()), Exit::usage, "mask.probability 1.5");
}

TEST(SpanMask, IsAFunctionOfItsKey) {
  const SpanMask rule;
  EXPECT_EQ(mask_of(rule, 199, 7), mask_of(rule, 199, 7));
  EXPECT_NE(mask_of(rule, 199, 7), mask_of(rule, 199, 8));
}

TEST(SpanMask, IsThinnedToSoManyOfItsFrames) {
  const std::vector<int32_t> whole = mask_of({}, 199, 3);
  const auto has = std::count(whole.begin(), whole.end(), 1);
  std::vector<int32_t> kept(whole.size());
  for (uint64_t key = 0; key < 400; ++key) {
    std::vector<int32_t> thin = whole;
    thin_mask(has / 2, {.seed = key}, thin);
    EXPECT_EQ(std::count(thin.begin(), thin.end(), 1), has / 2);
    for (size_t t = 0; t < thin.size(); ++t) {
      ASSERT_LE(thin[t], whole[t]);
      kept[t] += thin[t];
    }
  }
  const double share = double(has / 2) / double(has), deviation = std::sqrt(share * (1 - share) * 400);
  for (size_t t = 0; t < kept.size(); ++t)
    EXPECT_NEAR(kept[t], whole[t] * 400 * share, 5 * deviation) << t;
  std::vector<int32_t> same = whole;
  thin_mask(has, {}, same);
  EXPECT_EQ(same, whole);
}

}  // namespace hinoki::span_mask_test
