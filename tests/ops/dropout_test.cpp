#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::dropout_test {
namespace {

using test::Inputs;
using test::uniform;

const RandomKey kKey{.seed = 3, .site = hash_name("drop"), .step = 8};

TEST(DropoutOp, DropsByIndexAndAddsTheResidual) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000, 4099})
    for (const double p : {0.0, 0.3})
      for (const bool added : {false, true}) {
        const Tensor residual = added ? uniform({n}, -1, 1, 2) : Tensor();
        test::check_op({.inputs = {uniform({n}, -1, 1, 1), residual},
                        .run = [p](const Inputs& in) { return Inputs{dropout(in[0], p, kKey, 5, in[1])}; },
                        .reference =
                            [p](const Inputs& in) {
                              Tensor y = empty_like(in[0]);
                              for (int64_t i = 0; i < y.numel(); ++i) {
                                const bool keep = philox(kKey, uint64_t(i + 5) / 4)[(i + 5) % 4] * 0x1p-32 >= p;
                                y.as<double>()[i] = (keep ? in[0].as<double>()[i] / (1 - p) : 0) +
                                                    (in[1].defined() ? in[1].as<double>()[i] : 0);
                              }
                              return Inputs{y};
                            }},
                       1);
      }
}

TEST(DropoutOp, SaysWhatDoesNotFit) {
  const Tensor x = zeros({4}, DType::f32);
  EXPECT_ERROR(dropout(x, 1, kKey), Exit::failure, "dropout: p = 1 is not in [0, 1)");
  EXPECT_ERROR(dropout(x, 0.5, kKey, 0, zeros({5}, DType::f32)), Exit::failure, "dropout: x is [4], the residual [5]");
}

}  // namespace
}  // namespace hinoki::dropout_test
