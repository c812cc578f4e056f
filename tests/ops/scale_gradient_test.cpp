#include <gtest/gtest.h>

#include "core/base/device.h"
#include "core/ops.h"
#include "tests/support/op_check.h"

namespace hinoki::scale_gradient_test {
namespace {

using test::Inputs;
using test::uniform;

// check_op cannot take it: its gradient is not its derivative. So it is compared with an op whose derivative it has.
TEST(ScaleGradient, IsTheIdentityWithAGradientOfItsOwn) {
  for (const Device device : {Device::cpu, Device::cuda}) {
    if (!has_device(device)) continue;
    for (const DType dtype : {DType::f32, device == Device::cpu ? DType::f64 : DType::bf16})
      for (const int64_t n : {0, 1, 33, 4099}) {
        const Tensor values = to_device(uniform({n, 3}, -1, 1, 1, dtype), device),
                     dy = to_device(uniform({n, 3}, -1, 1, 2, dtype), device);
        const Tensor x = make_leaf(values), y = scale_gradient(x, 0.1);
        EXPECT_EQ(y.data(), x.data()) << "not a view";
        backward({y}, {dy});
        const Tensor z = make_leaf(values);
        backward({scale(z, 0.1)}, {dy});
        EXPECT_TRUE(test::same_bits(to_device(x.grad(), Device::cpu), to_device(z.grad(), Device::cpu)));
        EXPECT_EQ(test::same_bits(to_device(x.grad(), Device::cpu), to_device(dy, Device::cpu)), n == 0);
      }
  }
}

TEST(ScaleGradient, LeavesASharedGradientAlone) {
  const Tensor x = make_leaf(uniform({7}, -1, 1, 1)), dy = uniform({7}, -1, 1, 2);
  backward({add(scale_gradient(x, 0.5), x)}, {dy});
  for (int i = 0; i < 7; ++i) EXPECT_DOUBLE_EQ(x.grad().as<double>()[i], 1.5 * dy.as<double>()[i]);
}

// The gradient belongs to nobody else here and is written over.
TEST(ScaleGradient, WorksInPlace) {
  const Tensor x = make_leaf(uniform({41}, -1, 1, 1)), dy = uniform({41}, -1, 1, 2);
  backward({scale(scale_gradient(x, 0.5), 4)}, {dy});
  for (int i = 0; i < 41; ++i) EXPECT_EQ(x.grad().as<double>()[i], 2 * dy.as<double>()[i]);
}

TEST(ScaleGradient, TakesViews) {
  const Tensor x = make_leaf(uniform({4, 6}, -1, 1, 1)), dy = uniform({6, 4}, -1, 1, 2);
  backward({contiguous(scale_gradient(transpose(x, 0, 1), 3))}, {dy});
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 6; ++j) EXPECT_EQ(x.grad().as<double>()[i * 6 + j], 3 * dy.as<double>()[j * 4 + i]);
}

}  // namespace
}  // namespace hinoki::scale_gradient_test
