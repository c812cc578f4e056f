#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::linear_test {
namespace {

using test::Inputs;
using test::uniform;

Inputs reference(const Inputs& in, bool out_in) {
  const Tensor &x = in[0], &w = in[1];
  const int64_t k = x.size(-1), n = w.size(out_in ? 0 : 1), rows = k ? x.numel() / k : 0;
  Shape shape = x.shape();
  shape[-1] = n;
  Tensor y = empty(shape, DType::f64);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = in.size() > 2 ? in[2].as<double>()[j] : 0;
      for (int64_t p = 0; p < k; ++p) sum += x.as<double>()[i * k + p] * w.as<double>()[out_in ? j * k + p : p * n + j];
      y.as<double>()[i * n + j] = sum;
    }
  return {y};
}

class LinearSizes : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(LinearSizes, BothLayoutsWithAndWithoutBias) {
  const auto [rows, in, out] = GetParam();
  for (const WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out})
    for (const bool biased : {false, true}) {
      const bool out_in = layout == WeightLayout::out_in;
      Inputs inputs{uniform({rows, in}, -1, 1, 1), uniform(out_in ? Shape{out, in} : Shape{in, out}, -1, 1, 2)};
      if (biased) inputs.push_back(uniform({out}, -1, 1, 3));
      test::check_op({.inputs = inputs,
                      .run = [=](const Inputs& x) {
                        return Inputs{linear(x[0], x[1], biased ? x[2] : Tensor(), layout)};
                      },
                      .reference = [=](const Inputs& x) { return reference(x, out_in); }},
                     std::max({rows, in, out}));
    }
}

INSTANTIATE_TEST_SUITE_P(Edges, LinearSizes,
                         testing::Values(std::tuple{1, 1, 1}, std::tuple{31, 33, 32}, std::tuple{33, 1, 31},
                                         std::tuple{2, 257, 65}, std::tuple{65, 32, 100}));

TEST(Linear, NoRowsGiveNoRowsAndZeroGradients) {
  const Tensor x = make_leaf(zeros({0, 5}, DType::f32)), w = make_leaf(uniform({3, 5}, -1, 1, 1, DType::f32));
  const Tensor y = linear(x, w);
  EXPECT_EQ(y.shape(), (Shape{0, 3}));
  backward({y}, {y.detach()});
  for (const double g : test::values(w.grad())) EXPECT_EQ(g, 0);
}

TEST(Linear, SaysWhatDoesNotFit) {
  EXPECT_ERROR(linear(zeros({2, 4}, DType::f32), zeros({3, 5}, DType::f32)), Exit::failure,
               "linear: weight is [3, 5] [out, in], x is [2, 4]");
  EXPECT_ERROR(linear(zeros({2, 5}, DType::f32), zeros({3, 5}, DType::f32), zeros({2}, DType::f32)), Exit::failure,
               "bias is [2]");
}

}  // namespace
}  // namespace hinoki::linear_test
