#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::l2_normalize_test {
namespace {

using test::Inputs;
using test::uniform;

Tensor reference(const Tensor& x, double eps) {
  Tensor y = empty_like(x);
  const int64_t cols = x.size(-1);
  for (int64_t r = 0; r < x.numel() / cols; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < cols; ++c) squares += std::pow(x.as<double>()[r * cols + c], 2);
    for (int64_t c = 0; c < cols; ++c)
      y.as<double>()[r * cols + c] = x.as<double>()[r * cols + c] / std::max(std::sqrt(squares), eps);
  }
  return y;
}

// With the larger eps every row is below it, and its length a constant.
TEST(L2Normalize, IsItsFormulaAndItsDerivative) {
  for (const Shape& shape : {Shape{0, 4}, Shape{1, 2}, Shape{2, 5, 31}, Shape{33, 32}, Shape{5, 257}, Shape{3, 1000}})
    for (const double eps : {1e-8, 100.0})
      test::check_op({.inputs = {uniform(shape, -1, 1, 1)},
                      .run = [eps](const Inputs& in) { return Inputs{l2_normalize(in[0], eps)}; },
                      .reference = [eps](const Inputs& in) { return Inputs{reference(in[0], eps)}; }},
                     shape[-1]);
}

// The gradient belongs to nobody else here and is written over.
TEST(L2Normalize, WorksInPlace) {
  for (const Shape& shape : {Shape{1, 2}, Shape{33, 32}, Shape{5, 257}})
    test::check_op({.inputs = {uniform(shape, -1, 1, 1)},
                    .run = [](const Inputs& in) { return Inputs{scale(l2_normalize(in[0], 1e-8), 3)}; },
                    .reference =
                        [](const Inputs& in) {
                          Tensor y = reference(in[0], 1e-8);
                          for (int64_t i = 0; i < y.numel(); ++i) y.as<double>()[i] *= 3;
                          return Inputs{y};
                        }},
                   shape[-1]);
}

TEST(L2Normalize, OfNothingIsNothing) {
  const Tensor x = make_leaf(zeros({2, 3}, DType::f32)), y = l2_normalize(x, 0.5);
  backward({y}, {test::uniform({2, 3}, 1, 2, 1, DType::f32)});
  for (const double v : test::values(y.detach())) EXPECT_EQ(v, 0);
  const std::vector<double> dy = test::values(test::uniform({2, 3}, 1, 2, 1, DType::f32)), dx = test::values(x.grad());
  for (int i = 0; i < 6; ++i) EXPECT_EQ(dx[i], 2 * dy[i]);
}

TEST(L2Normalize, SaysWhatDoesNotFit) {
  EXPECT_ERROR(l2_normalize(zeros({2, 3}, DType::f32), 0), Exit::failure, "l2_normalize: x [2, 3], eps 0");
}

}  // namespace
}  // namespace hinoki::l2_normalize_test
