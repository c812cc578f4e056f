#include "models/sampling.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "tests/support/expect_error.h"

namespace hinoki::sampling_test {
namespace {

SampledRows one_row(const Tensor& logits, const std::vector<int32_t>& context) {
  const auto position = int32_t(context.size());
  const Tensor ids = zeros({1, position + 1}, DType::i32);
  std::copy(context.begin(), context.end(), ids.as<int32_t>());
  return {.logits = logits.view({1, logits.numel()}),
          .positions = from_values<int32_t>({1}, std::array{position}),
          .samples = zeros({1}, DType::i64),
          .context = ids,
          .lines = zeros({1}, DType::i32),
          .tokens = empty({1}, DType::i32)};
}

// A token after `context`, from logits that stay as the sampler leaves them.
int32_t draw(const Sampler& sample, std::vector<float>& logits, const std::vector<int32_t>& context) {
  const Tensor l = from_values<float>({int64_t(logits.size())}, logits);
  const SampledRows row = one_row(l, context);
  sample(row);
  std::copy_n(l.as<float>(), logits.size(), logits.begin());
  const int32_t token = row.tokens.as<int32_t>()[0];
  if (sample.options().needs_context()) {
    EXPECT_EQ(row.context.as<int32_t>()[context.size()], token) << "behind its context";
  }
  return token;
}

// How often each token is drawn at 20,000 positions.
std::map<int, double> shares(const Sampling& options, const std::vector<float>& logits) {
  constexpr int kDraws = 20'000;
  std::map<int, double> counts;
  const Sampler sample(options);
  std::vector<int32_t> context;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> copy = logits;
    context.push_back(100);  // an id that no penalty touches
    counts[draw(sample, copy, context)] += 1.0 / kDraws;
  }
  return counts;
}

const std::vector<float> kLogits{std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)};
constexpr double kError = 0.015;  // four standard deviations of a share of 20,000 draws

TEST(Sampling, DrawsBySoftmax) {
  const auto s = shares({.seed = 1}, kLogits);
  EXPECT_NEAR(s.at(0), 0.5, kError);
  EXPECT_NEAR(s.at(1), 0.3, kError);
  EXPECT_NEAR(s.at(2), 0.15, kError);
  EXPECT_NEAR(s.at(3), 0.05, kError);
}

TEST(Sampling, TemperatureSharpens) {
  const auto s = shares({.temperature = 0.5, .seed = 1}, kLogits);  // probabilities squared
  const double total = 0.25 + 0.09 + 0.0225 + 0.0025;
  EXPECT_NEAR(s.at(0), 0.25 / total, kError);
  EXPECT_NEAR(s.at(1), 0.09 / total, kError);
}

TEST(Sampling, TopKKeepsTheLikeliest) {
  const auto s = shares({.top_k = 2, .seed = 1}, kLogits);
  EXPECT_EQ(s.size(), 2u);
  EXPECT_NEAR(s.at(0), 0.5 / 0.8, kError);
}

TEST(Sampling, TopPKeepsTheSmallestSetThatHoldsTheShare) {
  EXPECT_EQ(shares({.top_p = 0.49, .seed = 1}, kLogits).size(), 1u);
  EXPECT_EQ(shares({.top_p = 0.51, .seed = 1}, kLogits).size(), 2u);
  EXPECT_EQ(shares({.top_p = 0.81, .seed = 1}, kLogits).size(), 3u);
}

TEST(Sampling, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogits) {
  std::vector<float> logits{2, -2, 1};
  EXPECT_EQ(draw(Sampler({.temperature = 0, .repetition_penalty = 4}), logits, {0, 1, 0}), 2);
  EXPECT_EQ(logits, (std::vector<float>{0.5, -8, 1}));
}

TEST(Sampling, IsAFunctionOfSeedAndPosition) {
  const std::vector<float> flat(1000, 0.0f);
  const auto token = [&](uint64_t seed, size_t position) {
    auto copy = flat;
    return draw(Sampler({.seed = seed}), copy, std::vector<int32_t>(position, 0));
  };
  EXPECT_EQ(token(1, 5), token(1, 5));
  EXPECT_NE(token(1, 5), token(1, 6));
  EXPECT_NE(token(1, 5), token(2, 5));
}

TEST(Sampling, RefusesNonsense) {
  const auto row = one_row(zeros({5}, DType::f32), {1});
  const auto refuses = [&](auto change, const char* part) {
    SampledRows wrong = row;
    change(wrong);
    EXPECT_ERROR(Sampler({.repetition_penalty = 2})(wrong), Exit::failure, part);
  };
  refuses([](SampledRows& r) { r.logits = zeros({1, 5}, DType::f64); }, "logits f64");
  refuses([](SampledRows& r) { r.tokens = zeros({2}, DType::i32); }, "tokens are not i32[1]");
  refuses([](SampledRows& r) { r.samples = zeros({1}, DType::i32); }, "samples are not i64[1]");
  refuses([](SampledRows& r) { r.context = {}; }, "a repetition penalty needs the tokens before");
  EXPECT_ERROR(Sampler({.temperature = -1}), Exit::usage, "temperature");
  EXPECT_ERROR(Sampler({.top_p = 0}), Exit::usage, "top-p");
  EXPECT_ERROR(Sampler({.repetition_penalty = 0}), Exit::usage, "penalty");
}

}  // namespace
}  // namespace hinoki::sampling_test
