#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::weight_norm_test {
namespace {

using test::Inputs;
using test::uniform;

Tensor reference(const Tensor& v, const Tensor& g) {
  Tensor w = empty_like(v);
  const int64_t n = v.size(2);
  for (int64_t k = 0; k < n; ++k) {
    double squares = 0;
    for (int64_t i = k; i < v.numel(); i += n) squares += v.as<double>()[i] * v.as<double>()[i];
    for (int64_t i = k; i < v.numel(); i += n)
      w.as<double>()[i] = v.as<double>()[i] * g.as<double>()[k] / std::sqrt(squares);
  }
  return w;
}

TEST(WeightNorm, IsItsFormulaAndItsDerivative) {
  for (const Shape& shape : {Shape{1, 2, 1}, Shape{4, 3, 5}, Shape{33, 2, 31}, Shape{20, 8, 33}, Shape{7, 5, 130}})
    test::check_op({.inputs = {uniform(shape, -1, 1, 1), uniform({1, 1, shape[2]}, -2, 2, 2)},
                    .run = [](const Inputs& in) { return Inputs{weight_norm(in[0], in[1])}; },
                    .reference = [](const Inputs& in) { return Inputs{reference(in[0], in[1])}; }},
                   shape.numel());
}

// Into the leaves' own buffers, twice: the second gradient is added to the first.
TEST(WeightNorm, AddsToWhatIsThere) {
  const Tensor v = uniform({6, 4, 9}, -1, 1, 1, DType::f32), g = uniform({1, 1, 9}, 1, 2, 2, DType::f32);
  const auto gradients = [&](int times) {
    const Tensor dv = empty_like(v), dg = empty_like(g), leaf_v = make_leaf(v, "v", dv), leaf_g = make_leaf(g, "g", dg);
    for (int i = 0; i < times; ++i) backward({weight_norm(leaf_v, leaf_g)}, {uniform(v.shape(), -1, 1, 3, DType::f32)});
    return Inputs{dv, dg};
  };
  const Inputs once = gradients(1), twice = gradients(2);
  for (int i : {0, 1})
    for (int64_t e = 0; e < once[i].numel(); ++e)
      EXPECT_EQ(twice[i].as<float>()[e], 2 * once[i].as<float>()[e]) << i << ", " << e;
}

// Along v the weight does not change.
TEST(WeightNorm, GradientIsAtRightAnglesToV) {
  const Tensor v = make_leaf(uniform({5, 3, 4}, -1, 1, 1)), g = uniform({1, 1, 4}, 1, 2, 2);
  backward({weight_norm(v, g)}, {uniform(v.shape(), -1, 1, 3)});
  double along = 0, length = 0;
  for (int64_t i = 0; i < v.numel(); ++i) {
    along += v.as<double>()[i] * v.grad().as<double>()[i];
    length += std::pow(v.grad().as<double>()[i], 2);
  }
  EXPECT_NEAR(along, 0, 1e-12);
  EXPECT_GT(length, 0.01);
}

TEST(WeightNorm, SaysWhatDoesNotFit) {
  EXPECT_ERROR(weight_norm(zeros({4, 3, 5}, DType::f32), zeros({1, 1, 4}, DType::f32)), Exit::failure,
               "weight_norm: v is f32[4, 3, 5], g f32[1, 1, 4], not [1, 1, kernel]");
}

}  // namespace
}  // namespace hinoki::weight_norm_test
