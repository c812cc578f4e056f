#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::weighted_squares_test {
namespace {

using test::Inputs;
using test::uniform;

// Every third row has weight 0.
Tensor weights_for(int64_t rows, Device device = Device::cpu) {
  Tensor w = uniform({rows}, -1, 2, 5, DType::f32);
  for (int64_t r = 0; r < rows; r += 3) w.as<float>()[r] = 0;
  return to_device(w, device);
}

TEST(WeightedSumOfSquares, IsItsFormulaAndItsDerivative) {
  for (const Shape& shape : {Shape{0, 4}, Shape{1, 5}, Shape{2, 1}, Shape{2, 16, 31}, Shape{33, 32}, Shape{65, 257}}) {
    const int64_t rows = shape.numel() / shape[-1];
    test::check_op({.inputs = {uniform(shape, -1, 1, 1)},
                    .run =
                        [rows](const Inputs& in) {
                          return Inputs{weighted_sum_of_squares(in[0], weights_for(rows, in[0].device()))};
                        },
                    .reference =
                        [rows](const Inputs& in) {
                          Tensor y = zeros({}, DType::f64);
                          const Tensor weights = weights_for(rows);
                          for (int64_t i = 0; i < in[0].numel(); ++i)
                            *y.as<double>() +=
                                double(weights.as<float>()[i / in[0].size(-1)]) * std::pow(in[0].as<double>()[i], 2);
                          return Inputs{y};
                        }},
                   shape.numel());
  }
}

TEST(WeightedSumOfSquares, DoesNotLookAtRowsOfNoWeight) {
  const Tensor x = test::uniform({4, 3}, -1, 1, 1, DType::f32);
  x.as<float>()[0] = NAN;  // row 0 has weight 0
  const Tensor leaf = make_leaf(x), y = weighted_sum_of_squares(leaf, weights_for(4));
  backward(y);
  EXPECT_TRUE(std::isfinite(y.item()));
  EXPECT_GT(std::abs(y.item()), 0);
  for (const double g : test::values(leaf.grad())) EXPECT_TRUE(std::isfinite(g));
}

TEST(WeightedSumOfSquares, SaysWhatDoesNotFit) {
  EXPECT_ERROR(weighted_sum_of_squares(zeros({4, 3}, DType::f32), zeros({3}, DType::f32)), Exit::failure,
               "weighted_sum_of_squares: weights f32[3]");
  EXPECT_ERROR(weighted_sum_of_squares(zeros({4, 3}, DType::f32), zeros({4}, DType::i32)), Exit::failure,
               "weighted_sum_of_squares: weights i32[4]");
}

}  // namespace
}  // namespace hinoki::weighted_squares_test
