#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::linear_cross_entropy_test {
namespace {

using test::Inputs;
using test::uniform;

Tensor some_labels(int64_t rows, int64_t vocab) {
  Tensor labels = test::integers({rows}, 0, vocab, 9);
  for (int64_t i = 2; i < rows; i += 5) labels.as<int32_t>()[i] = -100;
  return labels;
}

std::vector<double> row_losses(const Inputs& in) {
  const int64_t width = in[0].size(1), vocab = in[1].size(0);
  std::vector<double> losses;
  for (int64_t r = 0; r < in[0].size(0); ++r) {
    std::vector<double> logits(vocab);
    double sum = 0;
    for (int64_t v = 0; v < vocab; ++v) {
      for (int64_t i = 0; i < width; ++i)
        logits[v] += in[0].as<double>()[r * width + i] * in[1].as<double>()[v * width + i];
      sum += std::exp(logits[v]);
    }
    const int32_t label = in[2].as<int32_t>()[r];
    losses.push_back(label == -100 ? 0 : std::log(sum) - logits[label]);
  }
  return losses;
}

Inputs reference(const Inputs& in) {
  Tensor total = zeros({}, DType::f64);
  for (const double loss : row_losses(in)) *total.as<double>() += loss;
  return {total};
}

class LinearCrossEntropy : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(LinearCrossEntropy, IsTheLossAndItsGradient) {
  const auto [rows, width, vocab] = GetParam();
  test::check_op(
      {.inputs = {uniform({rows, width}, -1, 1, 1), uniform({vocab, width}, -1, 1, 2), some_labels(rows, vocab)},
       .run = [](const Inputs& in) { return Inputs{linear_cross_entropy(in[0], in[1], in[2])}; },
       .reference = reference},
      std::max({rows, width, vocab}));
}

// More than one chunk of rows among them.
INSTANTIATE_TEST_SUITE_P(Sizes, LinearCrossEntropy,
                         testing::Values(std::tuple{0, 4, 5}, std::tuple{1, 1, 2}, std::tuple{31, 33, 32},
                                         std::tuple{300, 8, 33}, std::tuple{515, 5, 7}));

TEST(LinearCrossEntropy, GivesTheLossOfEachRow) {
  const Inputs in{uniform({300, 8}, -1, 1, 1), uniform({33, 8}, -1, 1, 2), some_labels(300, 33)};
  const std::vector<double> got = test::values(linear_cross_entropy_rows(in[0], in[1], in[2])), want = row_losses(in);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-13 * 33);
}

// Micro-batches add into the flat buffer, and a tied table does so twice in each.
TEST(LinearCrossEntropy, AddsIntoTheLeafsBuffer) {
  const Tensor buffer = empty({9, 4}, DType::f64), values = uniform({9, 4}, -1, 1, 2), labels = some_labels(300, 9);
  const Tensor ids = test::integers({300}, 0, 9, 4);
  const auto step = [&](const Tensor& table) { backward(linear_cross_entropy(embedding(ids, table), table, labels)); };
  const Tensor plain = make_leaf(values), tied = make_leaf(values, "wte", buffer);
  step(plain);
  step(tied);
  step(tied);
  const auto once = test::values(plain.grad()), twice = test::values(buffer);
  for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], 2 * once[i], 1e-12 * std::abs(once[i]) + 1e-12);
}

// The buffer holds the weight's gradient before anybody knows the cotangent.
TEST(LinearCrossEntropy, RefusesAScaledLossOverABuffer) {
  const Tensor x = uniform({3, 4}, -1, 1, 1), labels = some_labels(3, 5);
  const Tensor w = make_leaf(uniform({5, 4}, -1, 1, 2), "head", zeros({5, 4}, DType::f64));
  EXPECT_ERROR(backward(scale(linear_cross_entropy(x, w, labels), 0.5)), Exit::failure,
               "its loss must be the sum that backward() starts from");
}

// The gradient of an x that is handed over takes its place, and is the same.
TEST(LinearCrossEntropy, WritesOverAnInputThatIsHandedOver) {
  const Tensor ids = test::integers({600}, 0, 9, 4), labels = some_labels(600, 7);
  size_t peak[2] = {};
  const auto step = [&](bool handed_over) {
    const Tensor table = make_leaf(uniform({9, 4}, -1, 1, 1)), w = make_leaf(uniform({7, 4}, -1, 1, 2));
    Tensor x = embedding(ids, table);
    const Tensor kept = handed_over ? Tensor() : x;
    const std::vector<double> before = test::values(x);
    reset_peak_memory();
    const size_t live = memory_use().live;
    const Tensor loss = linear_cross_entropy(std::move(x), w, labels);
    peak[handed_over] = memory_use().peak - live;
    if (kept.defined()) {
      EXPECT_EQ(test::values(kept), before) << "x is still somebody's";
    }
    backward(loss);
    return std::pair{test::values(table.grad()), test::values(w.grad())};
  };
  EXPECT_EQ(step(true), step(false));
  EXPECT_EQ(peak[false] - peak[true], (600 * 4 * sizeof(double) + 511) / 512 * 512) << "one array of x's size";
}

TEST(LinearCrossEntropy, LogitsAreFewAtATime) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    const int64_t most = device == Device::cpu ? 32 << 20 : 64 << 20;
    for (const int64_t vocabulary : {1, 8000, 16384, 16385, 32000, 32768, 32769, 250'000}) {
      const int64_t rows = loss_chunk_rows(vocabulary, device);
      EXPECT_EQ(rows, 512 * vocabulary * int64_t(sizeof(float)) <= most ? 512 : 256) << vocabulary << " on " << device;
    }
  }
}

TEST(LinearCrossEntropy, NothingIsDifferentiatedUnasked) {
  const Tensor x = uniform({3, 4}, -1, 1, 1), w = uniform({5, 4}, -1, 1, 2), labels = some_labels(3, 5);
  EXPECT_FALSE(linear_cross_entropy(x, w, labels).needs_grad());
  const Tensor leaf = make_leaf(w);
  backward(linear_cross_entropy(x, leaf, labels));
  EXPECT_EQ(leaf.grad().shape(), w.shape());
}

TEST(LinearCrossEntropy, SaysWhatDoesNotFit) {
  const Tensor x = uniform({3, 4}, -1, 1, 1), w = uniform({5, 4}, -1, 1, 2);
  EXPECT_ERROR(linear_cross_entropy(x, uniform({5, 3}, -1, 1, 2), some_labels(3, 5)), Exit::failure,
               "linear_cross_entropy: x [3, 4], weight [5, 3]");
  EXPECT_ERROR(linear_cross_entropy(x, w, some_labels(2, 5)), Exit::failure, "labels i32[2] for 3 rows");
  EXPECT_ERROR(linear_cross_entropy(x, w, test::integers({3}, 5, 6, 1)), Exit::data,
               "label 5 of row 0 is not in [0, 5)");
}

}  // namespace
}  // namespace hinoki::linear_cross_entropy_test
