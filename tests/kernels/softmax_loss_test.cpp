#include "kernels/softmax_loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::softmax_loss_test {
namespace {

using namespace hinoki::test;

struct Case {
  int64_t rows, vocabulary;
  double scale = 1;
  Values logits = uniform_values(rows * vocabulary, -8, 8, 1);
  std::vector<int32_t> labels = {};
  Values weights = uniform_values(rows, -2, 2, 3);

  Case(int64_t rows, int64_t vocabulary, double scale = 1) : rows(rows), vocabulary(vocabulary), scale(scale) {
    for (int64_t r = 0; r < rows; ++r) labels.push_back(r % 5 == 3 ? kIgnoredLabel : int32_t((r * 7919) % vocabulary));
  }
};

// Losses, entropies, the best of each row, and what becomes of the logits.
Values reference(const Case& c, bool gradient) {
  Values loss, entropies, best, logits = c.logits;
  for (int64_t r = 0; r < c.rows; ++r) {
    const double* const x = c.logits.data() + r * c.vocabulary;
    const int64_t top = std::max_element(x, x + c.vocabulary) - x;
    double sum = 0;
    for (int64_t v = 0; v < c.vocabulary; ++v) sum += std::exp(x[v] - x[top]);
    const bool ignored = c.labels[r] == kIgnoredLabel;
    loss.push_back(ignored ? 0 : std::log(sum) + x[top] - x[c.labels[r]]);
    double below = 0;
    for (int64_t v = 0; v < c.vocabulary; ++v) below += std::exp(x[v] - x[top]) / sum * (x[v] - x[top]);
    entropies.push_back(ignored ? 0 : std::log(sum) - below);
    best.push_back(double(top));
    for (int64_t v = 0; gradient && v < c.vocabulary; ++v)
      logits[r * c.vocabulary + v] =
          ignored ? 0 : c.scale * c.weights[r] * (std::exp(x[v] - x[top]) / sum - (v == c.labels[r] ? 1 : 0));
  }
  return loss + entropies + best + logits;
}

template <class T>
Values run(const Case& c, bool gradient, bool more = true) {
  Operand<T> logits(c.logits);
  Operand<int32_t> labels(c.labels);
  Operand<double> loss(c.rows), entropies(c.rows), weights(c.weights);
  Operand<int32_t> tops(c.rows);
  softmax_loss.run(here(), {},
                   {.logits = logits.data(),
                    .labels = labels.data(),
                    .loss = loss.data(),
                    .best = more ? tops.data() : nullptr,
                    .entropy = more ? entropies.data() : nullptr,
                    .gradient = gradient,
                    .scale = c.scale,
                    .weights = more ? weights.data() : nullptr,
                    .rows = c.rows,
                    .vocabulary = c.vocabulary,
                    .first_row = 100,
                    .dtype = dtype_of<T>()});
  return loss.values() + (more ? entropies.values() + tops.values() : Values{}) + logits.values();
}

TEST(SoftmaxLoss, IsLogSumExpMinusTheLabel) {
  for (const int64_t vocabulary : {1, 31, 32, 33, 1000, 4099})
    for (const int64_t rows : {0, 1, 9}) {
      const Case c(rows, vocabulary, 0.25);
      for (const bool gradient : {false, true}) {
        // Logits below 8 differ by at most 16, rounded once; a lane sums vocabulary / 32 exponentials.
        const double bound = 16 + 2 * (double(vocabulary) / 32 + 8);
        expect_everywhere([&] { return run<float>(c, gradient); }, reference(c, gradient), bound * epsilon<float>());
        expect_kernel([&] { return run<double>(c, gradient); }, reference(c, gradient), bound * epsilon<double>());
      }
    }
}

// Logits and gradients are rounded to bf16, losses are not.
TEST(SoftmaxLoss, TakesBf16) {
  for (const int64_t vocabulary : {1, 33, 1000, 4104}) {
    Case c(6, vocabulary, 0.25);
    c.logits = rounded_to_bf16(c.logits);
    for (const bool gradient : {false, true}) {
      const Values expected = reference(c, gradient);
      Values tolerance(expected.size(), (16 + 2 * (double(vocabulary) / 32 + 8)) * epsilon<float>());
      for (size_t i = 18; i < expected.size(); ++i) tolerance[i] += std::abs(expected[i]) * epsilon<bf16>() / 2;
      expect_on_cuda([&] { return run<bf16>(c, gradient); }, expected, tolerance);
    }
  }
}

// Rows of nearly 48 KiB, which with the kernel's own variables are more than it has without asking.
TEST(SoftmaxLoss, KeepsRowsBesideItsOwnVariables) {
  const Case c(2, 12250);
  expect_on_cuda([&] { return run<float>(c, true); }, reference(c, true), 2 * (12250. / 512 + 24) * epsilon<float>());
}

// Rows that no shared memory holds.
TEST(SoftmaxLoss, ReadsLongRowsTwice) {
  for (const int64_t vocabulary : {60000, 60001}) {
    const Case c(2, vocabulary);
    expect_on_cuda([&] { return run<float>(c, true); }, reference(c, true), 2 * (60000. / 512 + 24) * epsilon<float>());
  }
}

TEST(SoftmaxLoss, GradientIsTheDerivative) {
  const Case c(6, 33);
  const Values weight = uniform_values(6, -1, 1, 2), with_gradient = run<double>(c, true, false);
  Values gradient(with_gradient.begin() + 6, with_gradient.end());
  for (size_t i = 0; i < gradient.size(); ++i) gradient[i] *= weight[i / 33];
  expect_derivative(
      [&](const Values& x) {
        Case moved = c;
        moved.logits = x;
        const Values y = run<double>(moved, false, false);
        return dot(weight, Values(y.begin(), y.begin() + 6));
      },
      c.logits, gradient);
}

TEST(SoftmaxLoss, StaysFiniteForLogitsOfEverySize) {
  Case c(2, 3);
  c.logits = {1000, -1000, 999, -INFINITY, 5, -3e38};
  c.labels = {1, 1};
  const auto losses = [&] {
    const Values all = run<float>(c, true);
    return Values{all[0], all[1], all[2], all[3]};
  };
  const double p = 1 / (1 + std::exp(-1.0)), entropy = -p * std::log(p) - (1 - p) * std::log1p(-p);
  expect_everywhere(losses, {2000 + std::log1p(std::exp(-1.0)), 0, entropy, 0}, Values{1e-4, 0, 1e-6, 0});
}

TEST(SoftmaxLoss, IgnoredRowsCannotPoison) {
  Case c(1, 3);
  c.logits = {NAN, NAN, NAN};
  c.labels = {kIgnoredLabel};
  expect_everywhere([&] { return run<float>(c, true, false); }, {0, 0, 0, 0}, 0);
  c.labels = {0};
  expect_everywhere([&] { return Values{run<float>(c, true)[0]}; }, {NAN}, 0);
}

TEST(SoftmaxLoss, NamesTheLabelThatDoesNotFit) {
  Case c(6, 33);
  for (const int32_t bad : {33, -1}) {
    c.labels[4] = bad;
    const auto refused = [&] {
      EXPECT_ERROR(run<float>(c, false), Exit::data,
                   say("softmax_loss: label ", bad, " of row 104 is not in [0, 33) nor -100"));
      return Values{};
    };
    refused();
    expect_on_cuda(refused, {}, 0);
  }
}

}  // namespace
}  // namespace hinoki::kernels::softmax_loss_test
