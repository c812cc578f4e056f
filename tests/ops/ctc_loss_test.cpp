#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "core/ops.h"
#include "core/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::ctc_loss_test {
namespace {

using test::Inputs;
using test::uniform;

Tensor ints(const std::vector<int32_t>& values) { return from_values<int32_t>({int64_t(values.size())}, values); }

struct Rows {
  std::vector<int32_t> frames, labels, lengths;

  void add(int32_t of_frames, const std::vector<int32_t>& of_labels) {
    frames.push_back(of_frames);
    lengths.push_back(int32_t(of_labels.size()));
    labels.insert(labels.end(), of_labels.begin(), of_labels.end());
  }
  Inputs with(const Tensor& logits) const { return {logits, ints(frames), ints(labels), ints(lengths)}; }
};

Tensor loss_of(const Inputs& in, int64_t blank = 0) { return ctc_loss(in[0], in[1], in[2], in[3], blank); }

std::vector<std::vector<double>> softmaxes(const Tensor& logits, int64_t row, int64_t frames) {
  const int64_t classes = logits.size(2);
  std::vector<std::vector<double>> y;
  for (int64_t t = 0; t < frames; ++t) {
    const double* const x = logits.as<double>() + (row * logits.size(1) + t) * classes;
    double sum = 0;
    for (int64_t v = 0; v < classes; ++v) sum += std::exp(x[v]);
    y.emplace_back();
    for (int64_t v = 0; v < classes; ++v) y.back().push_back(std::exp(x[v]) / sum);
  }
  return y;
}

// What is left of a path: repeats count once, blanks not at all.
std::vector<int32_t> collapsed(const std::vector<int32_t>& path, int64_t blank) {
  std::vector<int32_t> labels;
  for (size_t t = 0; t < path.size(); ++t)
    if (path[t] != blank && (t == 0 || path[t] != path[t - 1])) labels.push_back(path[t]);
  return labels;
}

// The sum over all classes^frames paths.
double by_all_paths(const std::vector<std::vector<double>>& y, const std::vector<int32_t>& labels, int64_t blank) {
  double total = 0;
  std::vector<int32_t> path;
  const std::function<void(double)> extend = [&](double p) {
    if (path.size() == y.size()) {
      if (collapsed(path, blank) == labels) total += p;
      return;
    }
    for (size_t v = 0; v < y[path.size()].size(); ++v) {
      path.push_back(int32_t(v));
      extend(p * y[path.size() - 1][v]);
      path.pop_back();
    }
  };
  extend(1);
  return total;
}

TEST(CtcLoss, IsTheSumOverAllPaths) {
  for (const int64_t blank : {0, 2}) {
    const std::vector<std::vector<int32_t>> targets = {{}, {1}, {1, 1}, {3, 1}, {1, 3, 1}, {1, 1, 3}, {3, 1, 3, 1, 3}};
    Rows rows;
    double want = 0;
    const Tensor logits = uniform({int64_t(targets.size()), 6, 4}, -2, 2, 3);
    for (size_t r = 0; r < targets.size(); ++r) {
      const int32_t frames = r == 1 ? 3 : r == 4 ? 4 : 6;
      rows.add(frames, targets[r]);
      const double p = by_all_paths(softmaxes(logits, int64_t(r), frames), targets[r], blank);
      want -= std::log(p);
      // Alone, too: the loss of a row does not depend on the others.
      Rows alone;
      alone.add(frames, targets[r]);
      const Tensor own = contiguous(slice(logits, 0, int64_t(r), int64_t(r) + 1));
      EXPECT_NEAR(loss_of(alone.with(own), blank).item(), -std::log(p), 1e-12) << "row " << r;
    }
    EXPECT_NEAR(loss_of(rows.with(logits), blank).item(), want, 1e-12);
  }
}

// The forward recursion on probabilities, which only short rows allow.
Inputs reference(const Inputs& in) {
  Tensor total = zeros({}, DType::f64);
  int64_t start = 0;
  for (int64_t r = 0; r < in[0].size(0); ++r) {
    const int32_t count = in[3].as<int32_t>()[r], frames = in[1].as<int32_t>()[r];
    std::vector<int32_t> states(1, 0);
    for (int32_t i = 0; i < count; ++i) {
      states.push_back(in[2].as<int32_t>()[start + i]);
      states.push_back(0);
    }
    start += count;
    if (frames == 0) continue;
    const auto y = softmaxes(in[0], r, frames);
    std::vector<double> alpha(states.size(), 0);
    for (size_t s = 0; s < std::min<size_t>(2, states.size()); ++s) alpha[s] = y[0][size_t(states[s])];
    for (int32_t t = 1; t < frames; ++t) {
      const std::vector<double> before = alpha;
      for (size_t s = 0; s < states.size(); ++s) {
        double sum = before[s] + (s > 0 ? before[s - 1] : 0);
        if (s > 1 && states[s] != 0 && states[s] != states[s - 2]) sum += before[s - 2];
        alpha[s] = sum * y[size_t(t)][size_t(states[s])];
      }
    }
    *total.as<double>() -= std::log(alpha.back() + (count > 0 ? alpha[alpha.size() - 2] : 0));
  }
  return {total};
}

// `count` labels, some of which repeat the one before, and shorter rows after the first.
Rows some_rows(int64_t batch, int64_t time, int64_t classes, int64_t count) {
  Rows rows;
  for (int64_t r = 0; r < batch; ++r) {
    std::vector<int32_t> labels;
    for (int64_t i = 0; i < std::max<int64_t>(0, count - 2 * r); ++i)
      labels.push_back(i % 5 == 3 && i > 0 ? labels.back() : int32_t(1 + (i * 7 + r) % (classes - 1)));
    rows.add(int32_t(std::max<int64_t>(0, time - r)), labels);
  }
  return rows;
}

class CtcLossSizes : public testing::TestWithParam<std::tuple<int, int, int, int>> {};

TEST_P(CtcLossSizes, IsTheLossAndItsGradient) {
  const auto [batch, time, classes, count] = GetParam();
  test::check_op({.inputs = some_rows(batch, time, classes, count).with(uniform({batch, time, classes}, -3, 3, 5)),
                  .run = [](const Inputs& in) { return Inputs{loss_of(in)}; },
                  .reference = reference},
                 std::max<int64_t>(time * (2 * count + 1), classes));
}

// States on both sides of a warp, of a block (257 labels are 515 states) and of one thread each; and more of them than
// 48 KiB of shared memory hold (442 labels).
INSTANTIATE_TEST_SUITE_P(Sizes, CtcLossSizes,
                         testing::Values(std::tuple{0, 5, 4, 2}, std::tuple{1, 1, 2, 0}, std::tuple{1, 1, 2, 1},
                                         std::tuple{3, 9, 5, 4}, std::tuple{2, 40, 33, 15}, std::tuple{2, 41, 32, 16},
                                         std::tuple{1, 400, 3, 257}, std::tuple{1, 720, 3, 500}));

// Chunks of rows whose frames are fewer: nothing behind them is looked at, and its gradient is zero.
TEST(CtcLoss, LooksAtNoFrameBehindTheRow) {
  Tensor logits = uniform({2, 8, 4}, -1, 1, 1);
  Rows rows;
  rows.add(5, {1, 2});
  rows.add(0, {});
  const double want = loss_of(rows.with(logits)).item();
  for (int64_t i = 5 * 4; i < 16 * 4; ++i) logits.as<double>()[i] = NAN;
  const Tensor leaf = make_leaf(logits);
  const Tensor loss = loss_of(rows.with(leaf));
  EXPECT_EQ(loss.item(), want);
  backward(loss);
  for (int64_t i = 0; i < 16 * 4; ++i) {
    const double g = leaf.grad().as<double>()[i];
    EXPECT_TRUE(i < 5 * 4 ? g != 0 : g == 0) << "element " << i << " is " << g;
  }
}

// In f32, the probability of 1500 frames is far below what a double holds; the gradient stays that of f64.
TEST(CtcLoss, KeepsItsPrecisionOverLongRows) {
  Rows rows = some_rows(1, 1500, 50, 200);
  const Tensor logits = uniform({1, 1500, 50}, -8, 8, 7);
  const auto run = [&](DType dtype) {
    const Tensor leaf = make_leaf(test::to(logits, dtype));
    const Tensor loss = loss_of(rows.with(leaf));
    backward(loss);
    return std::pair{loss.item(), test::values(leaf.grad())};
  };
  const auto [loss, gradient] = run(DType::f64);
  const auto [loss32, gradient32] = run(DType::f32);
  EXPECT_GT(loss, 1000);
  EXPECT_NEAR(loss32, loss, 1e-6 * loss);
  for (size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(gradient32[i], gradient[i], 1e-4) << i;
}

TEST(CtcLoss, IsPyTorchs) {
  const SafetensorsFile golden =
      SafetensorsFile::open(std::string(HINOKI_SOURCE_DIR) + "/tests/golden/ctc/expected.safetensors");
  const auto tensor = [&](const std::string& name) {
    const StoredTensor t = golden.at(name);
    Tensor copy = empty(t.shape, t.dtype);
    std::memcpy(copy.data(), t.bytes.data(), t.bytes.size());
    return copy;
  };
  const Tensor logits = make_leaf(tensor("logits"));
  const Tensor loss = ctc_loss(logits, tensor("frames"), tensor("labels"), tensor("label_lengths"), 0);
  EXPECT_NEAR(loss.item(), tensor("loss_sum").item(), 1e-12 * loss.item());
  backward(loss);
  const auto got = test::values(logits.grad()), want = test::values(tensor("gradient"));
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << i;
}

TEST(CtcLoss, GivesAnInfiniteLossWhereNoPathIsLeft) {
  Tensor logits = uniform({1, 3, 3}, -1, 1, 1);
  for (int64_t t = 0; t < 3; ++t) logits.as<double>()[t * 3 + 1] = -INFINITY;
  Rows rows;
  rows.add(3, {1});
  EXPECT_EQ(loss_of(rows.with(logits)).item(), INFINITY);
}

TEST(CtcLoss, SaysWhatDoesNotFit) {
  const Tensor logits = zeros({2, 4, 5}, DType::f32);
  const auto with = [&](const std::vector<int32_t>& frames, const std::vector<int32_t>& labels,
                        const std::vector<int32_t>& lengths, int64_t blank = 0) {
    return ctc_loss(logits, ints(frames), ints(labels), ints(lengths), blank);
  };
  EXPECT_ERROR(with({4, 3}, {1, 2, 3, 3}, {1, 3}), Exit::data,
               "row 1 has 3 labels, of which 1 repeat the one before: they need 4 frames, it has 3");
  EXPECT_ERROR(with({4, 5}, {1}, {1, 0}), Exit::data, "row 1 has 5 frames of 4");
  EXPECT_ERROR(with({4, 4}, {1, 5}, {1, 1}), Exit::data, "label 5 at place 0 of row 1 is not in [0, 5)");
  EXPECT_ERROR(with({4, 4}, {1, 0}, {1, 1}), Exit::data, "label 0 at place 0 of row 1");
  EXPECT_ERROR(with({4, 4}, {1}, {1, 1}), Exit::data, "row 1 has 1 labels, of 1 only 0 are left");
  EXPECT_ERROR(with({4, 4}, {1, 2}, {1, 0}), Exit::data, "2 labels, but the rows have 1");
  EXPECT_ERROR(with({4, 4}, {1}, {1, 0}, 5), Exit::failure, "blank 5 is none of 5 classes");
  EXPECT_ERROR(with({4}, {1}, {1, 0}), Exit::failure, "frames i32[1]");
}

}  // namespace
}  // namespace hinoki::ctc_loss_test
