#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::linear_log_probs_test {
namespace {

using test::Inputs;
using test::uniform;

Tensor some_labels(int64_t rows, int64_t vocab) {
  Tensor labels = test::integers({rows}, 0, vocab, 9);
  for (int64_t i = 2; i < rows; i += 5) labels.as<int32_t>()[i] = -100;
  return labels;
}

// Log-probabilities of the labels, and entropies.
Inputs reference(const Inputs& in) {
  const int64_t rows = in[0].size(0), width = in[0].size(1), vocab = in[1].size(0);
  const Tensor of_labels = zeros({rows}, DType::f64), entropies = zeros({rows}, DType::f64);
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> logits(static_cast<size_t>(vocab));
    double sum = 0, mean = 0;
    for (int64_t v = 0; v < vocab; ++v) {
      for (int64_t i = 0; i < width; ++i)
        logits[size_t(v)] += in[0].as<double>()[r * width + i] * in[1].as<double>()[v * width + i];
      sum += std::exp(logits[size_t(v)]);
    }
    for (const double x : logits) mean += std::exp(x) / sum * x;
    const int32_t label = in[2].as<int32_t>()[r];
    if (label == -100) continue;
    of_labels.as<double>()[r] = logits[size_t(label)] - std::log(sum);
    entropies.as<double>()[r] = std::log(sum) - mean;
  }
  return {of_labels, entropies};
}

class LinearLogProbs : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(LinearLogProbs, AreThoseOfTheLabels) {
  const auto [rows, width, vocab] = GetParam();
  test::check_op(
      {.inputs = {uniform({rows, width}, -1, 1, 1), uniform({vocab, width}, -1, 1, 2), some_labels(rows, vocab)},
       .run = [](const Inputs& in) { return Inputs{linear_log_probs(in[0], in[1], in[2])}; },
       .reference = [](const Inputs& in) { return Inputs{reference(in)[0]}; }},
      std::max({rows, width, vocab}));
}

// More than one chunk of rows among them.
INSTANTIATE_TEST_SUITE_P(Sizes, LinearLogProbs,
                         testing::Values(std::tuple{0, 4, 5}, std::tuple{1, 1, 2}, std::tuple{31, 33, 32},
                                         std::tuple{300, 8, 33}, std::tuple{515, 5, 7}));

TEST(LinearLogProbs, ComeWithEntropies) {
  const Inputs in{uniform({515, 8}, -1, 1, 1), uniform({33, 8}, -1, 1, 2), some_labels(515, 33)};
  Tensor entropies;
  linear_log_probs(in[0], in[1], in[2], &entropies);
  const std::vector<double> got = test::values(entropies), want = test::values(reference(in)[1]);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-13 * 33);
}

// Micro-batches add into the flat buffer, whatever the cotangent is.
TEST(LinearLogProbs, AddTheirGradientIntoTheLeafsBuffer) {
  const Tensor buffer = empty({9, 4}, DType::f64), values = uniform({9, 4}, -1, 1, 2), labels = some_labels(300, 9);
  const Tensor x = uniform({300, 4}, -1, 1, 1);
  const auto step = [&](const Tensor& w) { backward(scale(sum(linear_log_probs(x, w, labels)), 0.5)); };
  const Tensor plain = make_leaf(values), head = make_leaf(values, "head", buffer);
  step(plain);
  step(head);
  step(head);
  const auto once = test::values(plain.grad()), twice = test::values(buffer);
  for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], 2 * once[i], 1e-12 * std::abs(once[i]) + 1e-12);
}

// Their sum has the gradient that the fused loss makes with its sign turned.
TEST(LinearLogProbs, AgreeWithTheCrossEntropy) {
  const Tensor labels = some_labels(70, 33), x = make_leaf(uniform({70, 8}, -1, 1, 1)), w = uniform({33, 8}, -1, 1, 2);
  const Tensor again = make_leaf(x.detach());
  const Tensor loss = linear_cross_entropy(x, w, labels), log_probs = sum(linear_log_probs(again, w, labels));
  EXPECT_NEAR(loss.item(), -log_probs.item(), 1e-11);
  backward(loss);
  backward(log_probs);
  const auto down = test::values(x.grad()), up = test::values(again.grad());
  for (size_t i = 0; i < up.size(); ++i) EXPECT_NEAR(down[i], -up[i], 1e-14 * 33);
}

TEST(LinearLogProbs, SayWhatDoesNotFit) {
  const Tensor x = uniform({3, 4}, -1, 1, 1);
  EXPECT_ERROR(linear_log_probs(x, uniform({5, 3}, -1, 1, 2), some_labels(3, 5)), Exit::failure,
               "linear_log_probs: x [3, 4], weight [5, 3]");
  EXPECT_ERROR(linear_log_probs(x, uniform({5, 4}, -1, 1, 2), some_labels(2, 5)), Exit::failure,
               "labels i32[2] for 3 rows");
}

}  // namespace
}  // namespace hinoki::linear_log_probs_test
