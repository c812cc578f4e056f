#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::preference_loss_test {
namespace {

using test::Inputs;
using test::uniform;

double log_sigmoid(double x) { return -std::log(1 + std::exp(-x)); }

Inputs over_pairs(const Inputs& in, const std::function<double(double chosen, double rejected)>& loss) {
  Tensor total = zeros({}, DType::f64);
  for (int64_t i = 0; i < in[0].size(0); i += 2)
    *total.as<double>() += loss(in[0].as<double>()[i], in[0].as<double>()[i + 1]);
  return {total};
}

TEST(PairwiseLoss, IsTheirOrderAndTheirCentre) {
  for (const double centring : {0.0, 0.01})
    for (const int64_t pairs : {0, 1, 33})
      test::check_op({.inputs = {uniform({2 * pairs}, -3, 3, 1)},
                      .run = [=](const Inputs& in) { return Inputs{pairwise_loss(in[0], centring)}; },
                      .reference =
                          [=](const Inputs& in) {
                            return over_pairs(in, [=](double c, double r) {
                              return -log_sigmoid(c - r) + centring * (c + r) * (c + r);
                            });
                          }},
                     2 * pairs + 8);
}

TEST(PairwiseLoss, StaysFiniteForAnyMargin) {
  Tensor rewards = zeros({4}, DType::f64);
  rewards.as<double>()[0] = 2000, rewards.as<double>()[3] = 2000;
  const Tensor leaf = make_leaf(rewards);
  const Tensor loss = pairwise_loss(leaf);
  EXPECT_DOUBLE_EQ(loss.item(), 2000);
  backward(loss);
  EXPECT_EQ(test::values(leaf.grad()), (std::vector<double>{0, 0, -1, 1}));
}

TEST(PairwiseLoss, RefusesHalfAPair) {
  EXPECT_ERROR(pairwise_loss(uniform({3}, -1, 1, 1)), Exit::failure, "pairwise_loss: [3] are not [2 * pairs]");
}

TEST(DpoLoss, IsALossOfTheMargin) {
  const Tensor before = uniform({66}, -3, 3, 2);
  const double* const q = before.as<double>();
  for (const DpoLoss form : {DpoLoss::sigmoid, DpoLoss::hinge, DpoLoss::ipo})
    for (const double smoothing : {0.0, 0.1}) {
      const auto reference = [=](const Inputs& in) {
        int64_t i = 0;
        return over_pairs(in, [&](double c, double r) {
          const double m = (c - q[i]) - (r - q[i + 1]), beta = 0.3;
          i += 2;
          if (form == DpoLoss::hinge) return std::max(0.0, 1 - beta * m);
          if (form == DpoLoss::ipo) return (m - 1 / (2 * beta)) * (m - 1 / (2 * beta));
          return -(1 - smoothing) * log_sigmoid(beta * m) - smoothing * log_sigmoid(-beta * m);
        });
      };
      test::check_op({.inputs = {uniform({66}, -3, 3, 1)},
                      .run = [=](const Inputs& in) { return Inputs{dpo_loss(in[0], before, 0.3, form, smoothing)}; },
                      .reference = reference},
                     66 + 8);
    }
}

// At the reference itself the sigmoid's loss is log 2 for every pair, whatever they are.
TEST(DpoLoss, BeginsAtLogTwo) {
  const Tensor p = uniform({8}, -9, 0, 1);
  EXPECT_DOUBLE_EQ(dpo_loss(p, p, 0.1).item(), 4 * std::log(2));
}

TEST(DpoLoss, RefusesAReferenceOfOtherPairs) {
  EXPECT_ERROR(dpo_loss(uniform({4}, -1, 1, 1), uniform({2}, -1, 1, 1), 0.1), Exit::failure,
               "dpo_loss: [4] log-probabilities, [2] of the reference");
}

TEST(SegmentSums, AreThoseOfRowsThatFollowEachOther) {
  const std::vector<int64_t> ends{2, 2, 7, 8};
  test::check_op({.inputs = {uniform({8}, -1, 1, 1)},
                  .run = [=](const Inputs& in) { return Inputs{segment_sums(in[0], ends)}; },
                  .reference =
                      [](const Inputs& in) {
                        const double* const x = in[0].as<double>();
                        const Tensor y = zeros({4}, DType::f64);
                        y.as<double>()[0] = x[0] + x[1];
                        y.as<double>()[2] = x[2] + x[3] + x[4] + x[5] + x[6];
                        y.as<double>()[3] = x[7];
                        return Inputs{y};
                      }},
                 8);
  EXPECT_EQ(segment_sums(uniform({0}, -1, 1, 1), {}).numel(), 0);
}

TEST(SegmentSums, SayWhatDoesNotFit) {
  EXPECT_ERROR(segment_sums(uniform({3}, -1, 1, 1), {2}), Exit::failure, "segments end at 2, the rows at 3");
  EXPECT_ERROR(segment_sums(uniform({3}, -1, 1, 1), {4, 3}), Exit::failure, "segment 1 ends at 3, before it begins at 4");
}

}  // namespace
}  // namespace hinoki::preference_loss_test
