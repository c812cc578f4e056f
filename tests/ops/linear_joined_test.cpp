#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::linear_joined_test {
namespace {

using test::Inputs;
using test::uniform;

struct Case {
  int64_t rows, in;
  std::vector<int64_t> outs;
  bool biased = true;
  WeightLayout layout = WeightLayout::out_in;
};

// x, then weights, then biases.
Tensor joined(const Case& c, const Inputs& in) {
  const auto weights = in.begin() + 1, biases = weights + int64_t(c.outs.size());
  return linear_joined(in[0], {weights, biases}, {biases, in.end()}, c.layout);
}

Tensor reference(const Case& c, const Inputs& in) {
  int64_t width = 0, begin = 0;
  for (const int64_t out : c.outs) width += out;
  Tensor y = empty({c.rows, width}, DType::f64);
  for (size_t i = 0; i < c.outs.size(); begin += c.outs[i++])
    for (int64_t r = 0; r < c.rows; ++r)
      for (int64_t j = 0; j < c.outs[i]; ++j) {
        double sum = c.biased ? in[1 + c.outs.size() + i].as<double>()[j] : 0;
        for (int64_t p = 0; p < c.in; ++p)
          sum += in[0].as<double>()[r * c.in + p] *
                 in[1 + i].as<double>()[c.layout == WeightLayout::out_in ? j * c.in + p : p * c.outs[i] + j];
        y.as<double>()[r * width + begin + j] = sum;
      }
  return y;
}

class LinearJoined : public testing::TestWithParam<Case> {};

TEST_P(LinearJoined, IsItsMapsSideBySide) {
  const Case c = GetParam();
  Inputs inputs{uniform({c.rows, c.in}, -1, 1, 1)};
  for (const int64_t out : c.outs)
    inputs.push_back(
        uniform(c.layout == WeightLayout::out_in ? Shape{out, c.in} : Shape{c.in, out}, -1, 1, 10 + inputs.size()));
  for (size_t i = 0; c.biased && i < c.outs.size(); ++i) inputs.push_back(uniform({c.outs[i]}, -1, 1, 20 + i));
  test::check_op({.inputs = inputs,
                  .run = [c](const Inputs& in) { return Inputs{joined(c, in)}; },
                  .reference = [c](const Inputs& in) { return Inputs{reference(c, in)}; }},
                 std::max({c.rows, c.in, int64_t(inputs.size()) * c.outs[0]}));
}

INSTANTIATE_TEST_SUITE_P(Edges, LinearJoined,
                         testing::Values(Case{1, 1, {1}}, Case{33, 31, {32, 33, 1}}, Case{2, 64, {64, 64, 64}},
                                         Case{65, 40, {40, 40, 40}, false}, Case{5, 257, {9, 65}, true},
                                         Case{31, 16, {48, 16, 16}, true, WeightLayout::in_out},
                                         Case{0, 8, {8, 8, 8}}));

// What attention takes: q, k and v of separate projections are the blocks of the packed one, bit by bit.
TEST(LinearJoinedBits, AreThoseOfTheSingleMaps) {
  const Tensor x = uniform({2, 7, 24}, -1, 1, 1, DType::f32);
  Inputs weights, biases;
  for (int i = 0; i < 3; ++i) {
    weights.push_back(uniform({24, 24}, -1, 1, 2 + i, DType::f32));
    biases.push_back(uniform({24}, -1, 1, 5 + i, DType::f32));
  }
  const Tensor packed = linear_joined(x, weights, biases);
  ASSERT_EQ(packed.shape(), (Shape{2, 7, 72}));
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(test::same_bits(contiguous(slice(packed, 2, 24 * i, 24 * (i + 1))), linear(x, weights[i], biases[i])));
}

TEST(LinearJoinedOp, SaysWhatDoesNotFit) {
  const Tensor x = zeros({2, 4}, DType::f32), w = zeros({3, 4}, DType::f32);
  EXPECT_ERROR(linear_joined(x, {w, zeros({3, 5}, DType::f32)}), Exit::failure, "linear_joined: weight is [3, 5]");
  EXPECT_ERROR(linear_joined(x, {w, w}, {zeros({3}, DType::f32)}), Exit::failure, "linear_joined: 2 weights, 1 biases");
  EXPECT_ERROR(linear_joined(x, {}), Exit::failure, "linear_joined: 0 weights");
}

}  // namespace
}  // namespace hinoki::linear_joined_test
