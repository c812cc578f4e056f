#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::ppo_loss_test {
namespace {

using test::Inputs;
using test::uniform;
using test::values;

Tensor numbers(const std::vector<double>& x) { return from_values<double>({int64_t(x.size())}, x); }

struct Row {
  double log_prob = 0, old_log_prob = 0, advantage = 0;
  double value = 0, old_value = 0, to = 0;
};
struct Outcome {
  PpoLoss loss;
  std::vector<double> log_prob_gradients, value_gradients;
};

Outcome outcome_of(const std::vector<Row>& rows, const PpoLossOptions& options = {}, DType value_dtype = DType::f64) {
  const auto column = [&](double Row::*of) {
    std::vector<double> all;
    for (const Row& r : rows) all.push_back(r.*of);
    return numbers(all);
  };
  const Tensor log_probs = make_leaf(column(&Row::log_prob));
  const Tensor own_values = make_leaf(test::to(column(&Row::value), value_dtype));
  Outcome out{ppo_loss(log_probs, own_values,
                       {.old_log_probs = column(&Row::old_log_prob),
                        .advantages = column(&Row::advantage),
                        .old_values = column(&Row::old_value),
                        .returns = column(&Row::to)},
                       options),
              {},
              {}};
  backward(out.loss.total);
  EXPECT_EQ(own_values.grad().dtype(), value_dtype);
  out.log_prob_gradients = values(log_probs.grad()), out.value_gradients = values(own_values.grad());
  return out;
}

// One row whose value is what it should be: only the policy has a loss.
struct PolicyCase {
  double ratio, advantage, loss, gradient, clipped;
};

// By hand, with clip = 0.25: the loss is max(-A r, -A clip(r, 0.75, 1.25)), the gradient -A r or 0.
TEST(PpoLoss, ClipsWhatWouldBeBelieved) {
  for (const PolicyCase& c :
       {PolicyCase{1.125, 2, -2.25, -2.25, 0},                                 // within: nothing is clipped
        PolicyCase{1.125, -2, 2.25, 2.25, 0}, PolicyCase{1.5, 2, -2.5, 0, 1},  // good, and likelier already: enough
        PolicyCase{1.5, -2, 3, 3, 0},                                          // bad, and likelier: back
        PolicyCase{0.5, 2, -1, -1, 0},                                         // good, and less likely: back
        PolicyCase{0.5, -2, 1.5, 0, 1},                                        // bad, and less likely already: enough
        PolicyCase{1.5, 0, 0, 0, 0}}) {
    SCOPED_TRACE(testing::Message() << "ratio " << c.ratio << ", advantage " << c.advantage);
    const double log_ratio = std::log(c.ratio);
    const Outcome got = outcome_of({{.log_prob = -1 + log_ratio, .old_log_prob = -1, .advantage = c.advantage}},
                                   {.clip = 0.25, .value_clip = 0.25, .value_weight = 0.5});
    EXPECT_NEAR(got.loss.policy, c.loss, 1e-15);
    EXPECT_NEAR(got.loss.total.item(), c.loss, 1e-15);
    EXPECT_NEAR(got.log_prob_gradients[0], c.gradient, 1e-15);
    EXPECT_EQ(got.loss.clipped, c.clipped);
    EXPECT_NEAR(got.loss.approximate_kl, 0.5 * log_ratio * log_ratio, 1e-15);
    EXPECT_NEAR(got.loss.ratio, c.ratio, 1e-15);
    EXPECT_NEAR(got.loss.ratio_squared, c.ratio * c.ratio, 1e-15);
    EXPECT_NEAR(got.loss.largest_deviation, std::abs(c.ratio - 1), 1e-15);
    EXPECT_EQ(got.loss.value, 0);
    EXPECT_EQ(got.loss.value_clipped, 0);
    EXPECT_EQ(got.value_gradients[0], 0);
  }
}

struct ValueCase {
  double value, to, loss, gradient, clipped;
};

// By hand, with an old value of 1 and value_clip = 0.25: half the larger of (v - R)^2 and (clip(v, 0.75, 1.25) - R)^2,
// times a weight of 0.5.
TEST(PpoLoss, ClipsTheWayOfTheValue) {
  for (const ValueCase& c : {ValueCase{1.125, 2, 0.3828125, -0.875, 0},  // within
                             ValueCase{0.875, 0.375, 0.125, 0.5, 0},
                             ValueCase{2, 2, 0.28125, 0, 1},     // further than it may, and nearer: enough
                             ValueCase{0.25, 0, 0.28125, 0, 1},  // the same downwards
                             ValueCase{2, 0.5, 1.125, 1.5, 0},   // further than it may, the wrong way: back
                             ValueCase{0.25, 1.5, 0.78125, -1.25, 0}}) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      SCOPED_TRACE(testing::Message() << "value " << c.value << ", return " << c.to << ", " << dtype);
      const Outcome got = outcome_of({{.value = c.value, .old_value = 1, .to = c.to}},
                                     {.clip = 0.25, .value_clip = 0.25, .value_weight = 0.5}, dtype);
      EXPECT_EQ(got.loss.value, c.loss);
      EXPECT_EQ(got.loss.total.item(), 0.5 * c.loss);
      EXPECT_EQ(got.value_gradients[0], 0.5 * c.gradient);
      EXPECT_EQ(got.loss.value_clipped, c.clipped);
      EXPECT_EQ(got.loss.policy, 0);
      EXPECT_EQ(got.log_prob_gradients[0], 0);
    }
  }
}

TEST(PpoLoss, AddsItsRowsUp) {
  const Outcome got = outcome_of({{.log_prob = std::log(0.5), .advantage = -1, .value = 1, .to = 2},
                                  {.log_prob = std::log(1.5), .advantage = 1, .value = 0.1, .to = 1.1},
                                  {.log_prob = 0, .advantage = 3, .value = -2, .to = -0.5}});
  EXPECT_NEAR(got.loss.policy, 0.8 - 1.2 - 3, 1e-15);
  EXPECT_NEAR(got.loss.value, 0.5 * (1.8 * 1.8 + 1 + 1.5 * 1.5), 1e-15);  // the first is clipped to 0.2
  EXPECT_NEAR(got.loss.total.item(), got.loss.policy + 0.1 * got.loss.value, 1e-15);
  EXPECT_EQ(got.loss.clipped, 2);
  EXPECT_EQ(got.loss.value_clipped, 1);
  EXPECT_NEAR(got.loss.ratio, 3, 1e-15);
  EXPECT_NEAR(got.loss.ratio_squared, 3.5, 1e-15);
  EXPECT_NEAR(got.loss.largest_deviation, 0.5, 1e-15);
  EXPECT_NEAR(got.loss.approximate_kl, 0.5 * (std::pow(std::log(2), 2) + std::pow(std::log(1.5), 2)), 1e-15);
  EXPECT_TRUE(outcome_of({}).loss.total.item() == 0);
}

// Nothing moves before the first update: every ratio is 1 to the bit, and the gradient that of plain policy gradients.
TEST(PpoLoss, BeginsAtRatiosOfOne) {
  std::vector<Row> rows;
  for (int i = 0; i < 50; ++i)
    rows.push_back({.log_prob = -0.1 * i, .old_log_prob = -0.1 * i, .advantage = 0.3 * i - 5});
  const Outcome got = outcome_of(rows);
  EXPECT_EQ(got.loss.largest_deviation, 0);
  EXPECT_EQ(got.loss.approximate_kl, 0);
  EXPECT_EQ(got.loss.clipped, 0);
  EXPECT_EQ(got.loss.ratio, 50);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(got.log_prob_gradients[i], -rows[i].advantage);
}

// A reference of its own: the other way of writing it, min(A r, A clip(r)) and branches by comparison.
Inputs reference(const Inputs& in, const PpoRows& rows, const PpoLossOptions& o) {
  Tensor total = zeros({}, DType::f64);
  const auto at = [](const Tensor& t, int64_t i) { return t.as<double>()[i]; };
  for (int64_t i = 0; i < in[0].numel(); ++i) {
    const double a = at(rows.advantages, i), r = std::exp(at(in[0], i)) / std::exp(at(rows.old_log_probs, i));
    const double kept = r < 1 - o.clip ? 1 - o.clip : r > 1 + o.clip ? 1 + o.clip : r;
    const double v = at(in[1], i), old = at(rows.old_values, i), to = at(rows.returns, i);
    const double near = std::max(old - o.value_clip, std::min(old + o.value_clip, v));
    *total.as<double>() -= std::min(a * r, a * kept);
    *total.as<double>() += o.value_weight * 0.5 * std::max(std::pow(v - to, 2), std::pow(near - to, 2));
  }
  return {total};
}

// Everywhere at least 0.02 from the corners of the loss, where it has no derivative (the largest step there is, of bf16
// numbers below 2, is 0.008).
void check(int64_t rows) {
  const PpoLossOptions options{.clip = 0.2, .value_clip = 0.2, .value_weight = 0.1};
  const Tensor log_probs = uniform({rows}, -1.9, -0.1, 1), own_values = uniform({rows}, -1, 1, 2);
  PpoRows kept{.old_log_probs = empty({rows}, DType::f64),
               .advantages = uniform({rows}, -2, 2, 3),
               .old_values = empty({rows}, DType::f64),
               .returns = uniform({rows}, -1.5, 1.5, 4)};
  // Ratios of about 0.6, 0.9, 1.1 and 1.6; values by 0.1 or 0.5 from the old ones, up and down.
  const double log_ratios[] = {-0.5, -0.1, 0.1, 0.5}, moves[] = {0.1, -0.5, 0.5, -0.1, 0.5};
  int64_t clipped = 0, value_clipped = 0;
  for (int64_t i = 0; i < rows; ++i) {
    double& old = kept.old_values.as<double>()[i];
    const double v = own_values.as<double>()[i];
    kept.old_log_probs.as<double>()[i] = log_probs.as<double>()[i] - log_ratios[i % 4];
    old = v - moves[i % 5];
    // Where both errors are alike, too, there is a corner: half way between the value and the clipped one.
    const double half_way = (v + old + std::clamp(v - old, -0.2, 0.2)) / 2;
    double& to = kept.returns.as<double>()[i];
    if (std::abs(to - half_way) < 0.05) to = half_way + 0.05;
    value_clipped += std::abs(moves[i % 5]) > 0.2 && (to > half_way) == (moves[i % 5] > 0);
    clipped += std::abs(log_ratios[i % 4]) > 0.2 && (kept.advantages.as<double>()[i] > 0) == (log_ratios[i % 4] > 0);
  }
  const PpoLoss loss = ppo_loss(log_probs, own_values, kept, options);
  EXPECT_EQ(loss.clipped, clipped);
  EXPECT_EQ(loss.value_clipped, value_clipped);
  test::check_op({.inputs = {log_probs, own_values},
                  .run = [=](const Inputs& in) { return Inputs{ppo_loss(in[0], in[1], kept, options).total}; },
                  .reference = [=](const Inputs& in) { return reference(in, kept, options); }},
                 2 * rows);
}

TEST(PpoLoss, IsItsFormulaAndItsDerivative) {
  for (const int64_t rows : {0, 1, 40, 333}) check(rows);
}

TEST(PpoLoss, HidesNoNumberThatIsNone) {
  const Outcome got = outcome_of({{.advantage = 1}, {.log_prob = NAN, .advantage = 1}, {.advantage = 1, .value = 1}});
  EXPECT_TRUE(std::isnan(got.loss.total.item()));
  EXPECT_TRUE(std::isnan(got.loss.largest_deviation));
  EXPECT_TRUE(std::isnan(got.log_prob_gradients[1]));
  EXPECT_TRUE(std::isnan(outcome_of({{.value = NAN}, {}}).loss.total.item()));
}

TEST(PpoLoss, SaysWhatDoesNotFit) {
  const auto column = [](int64_t n, DType dtype = DType::f64) { return zeros({n}, dtype); };
  const PpoRows three{column(3), column(3), column(3), column(3)};
  EXPECT_ERROR(ppo_loss(zeros({3, 1}, DType::f64), column(3), three, {}), Exit::failure,
               "ppo_loss: log_probs [3, 1] are not [rows]");
  EXPECT_ERROR(ppo_loss(column(3), column(2), three, {}), Exit::failure, "ppo_loss: values [2] for log_probs [3]");
  EXPECT_ERROR(ppo_loss(column(3), column(3, DType::i32), three, {}), Exit::failure,
               "ppo_loss: values i32[3] are not f32");
  EXPECT_ERROR(ppo_loss(column(3), column(3), {column(3), column(4), column(3), column(3)}, {}), Exit::failure,
               "ppo_loss: advantages f64[4] on the cpu are not f64[3] on the CPU");
  EXPECT_ERROR(ppo_loss(column(3), column(3), {column(3), column(3), column(3), column(3, DType::f32)}, {}),
               Exit::failure, "ppo_loss: returns f32[3]");
  EXPECT_ERROR(ppo_loss(column(3), column(3), {{}, column(3), column(3), column(3)}, {}), Exit::failure,
               "ppo_loss: old_log_probs are undefined");
}

}  // namespace
}  // namespace hinoki::ppo_loss_test
