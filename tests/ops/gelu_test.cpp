#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/op_check.h"

namespace hinoki::gelu_test {
namespace {

using test::Inputs;
using test::uniform;

double gelu_of(double x, Gelu form) {
  if (form == Gelu::erf) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

TEST(GeluOp, BothForms) {
  for (const Gelu form : {Gelu::erf, Gelu::tanh})
    for (const Shape& shape : {Shape{0, 3}, Shape{1}, Shape{3, 31}, Shape{2, 5, 33}})
      test::check_op({.inputs = {uniform(shape, -4, 4, 1)},
                      .run = [form](const Inputs& in) { return Inputs{gelu(in[0], form)}; },
                      .reference =
                          [form](const Inputs& in) {
                            Tensor y = empty_like(in[0]);
                            for (int64_t i = 0; i < y.numel(); ++i)
                              y.as<double>()[i] = gelu_of(in[0].as<double>()[i], form);
                            return Inputs{y};
                          }},
                     16);
}

// The gradient that arrives is another op's, too: it is not overwritten.
TEST(GeluOp, LeavesASharedGradientAlone) {
  test::check_op({.inputs = {uniform({5, 7}, -2, 2, 1)},
                  .run = [](const Inputs& in) { return Inputs{add(gelu(in[0], Gelu::erf), in[0])}; },
                  .reference = {}},
                 16);
}

}  // namespace
}  // namespace hinoki::gelu_test
