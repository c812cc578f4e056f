#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki {
namespace {

using test::Inputs;
using test::uniform;

double gelu(double x, Gelu form) {
  if (form == Gelu::erf) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

class BiasGeluOp : public testing::TestWithParam<int64_t> {};

TEST_P(BiasGeluOp, IsGeluOfTheSum) {
  const int64_t n = GetParam();
  for (const Gelu form : {Gelu::erf, Gelu::tanh})
    for (const bool biased : {false, true})
      for (const int64_t rows : {0, 5}) {
        const Tensor bias = biased ? uniform({n}, -1, 1, 2) : Tensor();
        test::check_op({.inputs = {uniform({rows, n}, -4, 4, 1), bias},
                        .run = [form](const Inputs& in) { return Inputs{bias_gelu(in[0], in[1], form)}; },
                        .reference =
                            [form](const Inputs& in) {
                              Tensor y = empty_like(in[0]);
                              for (int64_t i = 0; i < y.numel(); ++i) {
                                const double b = in[1].defined() ? in[1].as<double>()[i % in[1].numel()] : 0;
                                y.as<double>()[i] = gelu(in[0].as<double>()[i] + b, form);
                              }
                              return Inputs{y};
                            }},
                       5);
      }
}

INSTANTIATE_TEST_SUITE_P(Columns, BiasGeluOp, testing::Values(1, 31, 32, 33, 1000));

TEST(BiasGeluOp, SaysWhatDoesNotFit) {
  EXPECT_ERROR(bias_gelu(zeros({3, 17}, DType::f32), zeros({5}, DType::f32), Gelu::erf), Exit::failure,
               "bias_gelu: bias is [5], x ends in 17");
}

}  // namespace
}  // namespace hinoki
