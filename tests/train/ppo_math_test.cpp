#include "train/ppo_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::ppo_math_test {
namespace {

using Numbers = std::vector<double>;

uint64_t bits(double x) { return std::bit_cast<uint64_t>(x); }
Numbers some(int64_t count, uint64_t seed) { return test::values(test::uniform({count}, -1, 1, seed)); }

struct Estimates {
  Numbers advantages, returns;
};
Estimates estimate(const Numbers& rewards, const Numbers& values, double gamma, double lambda) {
  Estimates e{Numbers(rewards.size()), Numbers(rewards.size())};
  advantages_and_returns(rewards, values, gamma, lambda, e.advantages, e.returns);
  return e;
}

void expect_near(const Numbers& got, const Numbers& want, double bound = 1e-15) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], bound) << "entry " << i;
}

// The wanted numbers come from equation 16 itself, a double sum over exact fractions (Python's fractions.Fraction).
TEST(PpoAdvantages, AreThoseOfExactFractions) {
  const Numbers rewards = {-0.01, 0.02, 0, -0.03, 0.97}, values = {0.1, 0.3, -0.2, 0.5, 0.4};
  const Estimates undiscounted = estimate(rewards, values, 1, 0.95);
  expect_near(undiscounted.advantages, {0.7185598125, 0.55637875, 1.090925, 0.4115, 0.57});
  expect_near(undiscounted.returns, {0.8185598125, 0.85637875, 0.890925, 0.9115, 0.97});
  const Estimates discounted = estimate(rewards, values, 0.99, 0.9);
  expect_near(discounted.advantages, {0.57730548091777, 0.43805328947, 1.02811817, 0.37387, 0.57});
  expect_near(discounted.returns, {0.67730548091777, 0.73805328947, 0.82811817, 0.87387, 0.97});
}

TEST(PpoAdvantages, AreTheDoubleSumForAnyLength) {
  for (const int64_t n : {1, 2, 7, 64}) {
    const Numbers r = some(n, 1), v = some(n, 2);
    const Estimates got = estimate(r, v, 0.97, 0.9);
    for (size_t t = 0; t < size_t(n); ++t) {
      double want = 0;
      for (size_t k = t; k < size_t(n); ++k)
        want += std::pow(0.97 * 0.9, double(k - t)) * (r[k] + (k + 1 < size_t(n) ? 0.97 * v[k + 1] : 0) - v[k]);
      EXPECT_NEAR(got.advantages[t], want, 1e-13) << n << " tokens, token " << t;
      EXPECT_EQ(bits(got.returns[t]), bits(got.advantages[t] + v[t])) << n << " tokens, token " << t;
    }
  }
}

TEST(PpoAdvantages, OfOneTokenAreItsRewardAgainstItsValue) {
  const Estimates e = estimate({0.75}, {0.5}, 0.9, 0.9);
  EXPECT_EQ(e.advantages, Numbers{0.25});
  EXPECT_EQ(e.returns, Numbers{0.75});
  EXPECT_TRUE(estimate({}, {}, 1, 0.95).advantages.empty());
}

// lambda 1 without discount: what came minus what was expected. lambda 0: the error of one step.
TEST(PpoAdvantages, HaveTheirTwoEnds) {
  const Numbers r = {1, 2, 4}, v = {0.5, 0.25, 8};
  expect_near(estimate(r, v, 1, 1).advantages, {6.5, 5.75, -4});
  expect_near(estimate(r, v, 1, 1).returns, {7, 6, 4});
  expect_near(estimate(r, v, 1, 0).advantages, {0.75, 9.75, -4});
}

TEST(PpoAdvantages, SayWhatDoesNotFit) {
  Numbers two(2), three(3);
  EXPECT_ERROR(advantages_and_returns(three, two, 1, 1, three, three), Exit::failure, "3 rewards, 2 values");
  EXPECT_ERROR(advantages_and_returns(three, three, 1, 1, three, two), Exit::failure, "2 returns");
}

// From Python's statistics.pvariance.
TEST(PpoWhiten, IsThatOfTheWholePopulation) {
  const Numbers x = {0.5, -1.25, 3, 0.75, 2};
  Numbers shifted = x, kept = x;
  whiten(shifted);
  expect_near(shifted, {-0.34710506641391387, -1.5619727988626124, 1.3884202656556555, -0.17355253320695693,
                        0.6942101328278277});
  whiten(kept, false);
  expect_near(kept,
              {0.6528949335860861, -0.5619727988626124, 2.3884202656556557, 0.826447466793043, 1.6942101328278278});
}

TEST(PpoWhiten, LeavesMeanZeroAndVarianceOne) {
  Numbers x = some(1000, 3);
  for (double& v : x) v = 1e6 + 50 * v;  // a large mean must cost nothing
  whiten(x);
  double mean = 0, square = 0;
  for (const double v : x) mean += v / 1000, square += v * v / 1000;
  EXPECT_NEAR(mean, 0, 1e-9);
  EXPECT_NEAR(square, 1, 1e-9);
}

TEST(PpoWhiten, IsHarmlessWhereNothingVaries) {
  Numbers one = {0.3}, alike(5, 0.1), none;
  whiten(one);
  whiten(alike);
  whiten(none);
  EXPECT_EQ(one, Numbers{0});
  for (const double v : alike) EXPECT_LT(std::abs(v), 1e-10);
  Numbers kept = {0.3};
  whiten(kept, false);
  EXPECT_EQ(kept, Numbers{0.3});
}

// Both clips, the line between them, and no change at the target. From Python.
TEST(KlController, FollowsItsTarget) {
  KlController c(0.05, 6, 10000);
  const auto after = [&](double kl, int64_t n) {
    c.update(kl, n);
    return c.beta();
  };
  EXPECT_DOUBLE_EQ(after(9, 64), 0.050064);
  EXPECT_DOUBLE_EQ(after(6.3, 64), 0.05008002048);
  EXPECT_DOUBLE_EQ(after(1, 128), 0.0499518156275712);
  EXPECT_DOUBLE_EQ(after(6, 64), 0.0499518156275712);
  EXPECT_DOUBLE_EQ(after(-3, 10000), 0.0499518156275712 * 0.8);
}

TEST(KlController, StaysFixedWithoutATarget) {
  KlController c(0.02);
  for (const double kl : {0.0, 5.0, 1e6}) c.update(kl, 1000000);
  EXPECT_EQ(c.beta(), 0.02);
}

TEST(KlController, GoesOnFromItsBeta) {
  KlController whole(0.05, 6, 1000);
  const Numbers kls = some(20, 4);
  for (size_t i = 0; i < 11; ++i) whole.update(6 + kls[i], 17);
  KlController restored(whole.beta(), 6, 1000);
  for (size_t i = 11; i < 20; ++i) whole.update(6 + kls[i], 17), restored.update(6 + kls[i], 17);
  EXPECT_EQ(bits(restored.beta()), bits(whole.beta()));
  EXPECT_NE(restored.beta(), 0.05);
}

TEST(KlController, SaysWhatCannotBe) {
  EXPECT_ERROR(KlController(-0.1), Exit::usage, "beta -0.1");
  EXPECT_ERROR(KlController(NAN), Exit::usage, "beta nan");
  EXPECT_ERROR(KlController(0.1, -6), Exit::usage, "target -6");
  EXPECT_ERROR(KlController(0.1, 6, 0), Exit::usage, "horizon 0");
  KlController c(0.1, 6, 100);
  EXPECT_ERROR(c.update(1, 500), Exit::usage,
               "horizon 100 is too short for 500 answers at a time: it must be above 100");
  EXPECT_ERROR(c.update(NAN, 5), Exit::numerical, "is nan");
  EXPECT_EQ(c.beta(), 0.1);
  c.update(1, 499);
  EXPECT_GT(c.beta(), 0);
}

// From Python's statistics.fmean, variance and stdev over all seven scores.
TEST(RunningScale, IsThatOfAllScoresHoweverTheyCome) {
  const Numbers scores = {0.5, -1.25, 3, 0.75, 2, 10, -4};
  for (const std::vector<size_t>& batches :
       std::vector<std::vector<size_t>>{{7}, {1, 6}, {3, 0, 4}, {1, 1, 1, 1, 1, 1, 1}}) {
    RunningScale scale;
    size_t at = 0;
    for (const size_t n : batches) scale.add(std::span(scores).subspan(at, n)), at += n;
    EXPECT_EQ(scale.state().count, 7);
    EXPECT_NEAR(scale.state().mean, 1.5714285714285714, 1e-15);
    EXPECT_NEAR(scale.state().m2, 114.08928571428572, 1e-13);
    EXPECT_NEAR(scale.factor(), 0.22932594648742316, 1e-15);
  }
}

TEST(RunningScale, GoesOnFromItsState) {
  const Numbers scores = some(60, 5);
  const std::span<const double> all(scores);
  RunningScale whole;
  whole.add(all.first(17));
  RunningScale restored(whole.state());
  for (RunningScale* const s : {&whole, &restored}) s->add(all.subspan(17, 20)), s->add(all.subspan(37));
  EXPECT_EQ(bits(restored.state().count), bits(whole.state().count));
  EXPECT_EQ(bits(restored.state().mean), bits(whole.state().mean));
  EXPECT_EQ(bits(restored.state().m2), bits(whole.state().m2));
  EXPECT_EQ(bits(restored.factor()), bits(whole.factor()));
}

TEST(RunningScale, LeavesScoresAloneWhereNothingVaries) {
  RunningScale scale;
  EXPECT_EQ(scale.factor(), 1);
  scale.add(Numbers{3});
  EXPECT_EQ(scale.factor(), 1);
  scale.add(Numbers{3});
  EXPECT_EQ(scale.factor(), 1);
  // Sums of 0.1 round: what is left of the mean in the deviation is no spread.
  RunningScale tenths;
  for (int i = 1; i < 50; ++i) tenths.add(Numbers(size_t(i), 0.1));
  EXPECT_GT(tenths.state().m2, 0);
  EXPECT_EQ(tenths.factor(), 1);
}

TEST(RunningScale, CountsNothingOfABatchWithAScoreThatIsNone) {
  RunningScale scale;
  scale.add(Numbers{1, 2});
  EXPECT_ERROR(scale.add(Numbers{5, INFINITY, 1}), Exit::numerical, "score 1 of 3 is inf");
  EXPECT_EQ(scale.state().count, 2);
  EXPECT_EQ(scale.state().mean, 1.5);
}

}  // namespace
}  // namespace hinoki::ppo_math_test
