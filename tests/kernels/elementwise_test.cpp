#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include "tests/support/kernel_check.h"

namespace hinoki::kernels {
namespace {

using namespace hinoki::test;

constexpr int64_t kSizes[] = {0, 1, 31, 32, 33, 1000, 4099, 100000};

template <class T>
Values binary(const Kernel<Binary>& op, const Values& a, const Values& b) {
  Operand<T> first(a), second(b), y(int64_t(a.size()));
  op.run(Device::cpu, {},
         {.a = first.data(), .b = second.data(), .y = y.data(), .count = y.size(), .dtype = dtype_of<T>()});
  return y.values();
}

template <class T>
Values scaled(const Kernel<Scaled>& op, const Values& x, const Values& start, double factor) {
  Operand<T> in(x), y(start);
  op.run(Device::cpu, {}, {.x = in.data(), .y = y.data(), .factor = factor, .count = y.size(), .dtype = dtype_of<T>()});
  return y.values();
}

// Every result is rounded once, or twice without a fused multiply-add.
TEST(Elementwise, IsRoundedOnce) {
  for (const int64_t n : kSizes) {
    const Values a = uniform(n, -1, 1, 1), b = uniform(n, -1, 1, 2);
    Values sum, product, multiple, moved;
    for (int64_t i = 0; i < n; ++i) {
      sum.push_back(a[i] + b[i]);
      product.push_back(a[i] * b[i]);
      multiple.push_back(-2.5 * a[i]);
      moved.push_back(b[i] - 2.5 * a[i]);
    }
    expect_kernel([&] { return binary<float>(add, a, b); }, sum, epsilon<float>());
    expect_kernel([&] { return binary<double>(add, a, b); }, sum, epsilon<double>());
    expect_kernel([&] { return binary<float>(mul, a, b); }, product, epsilon<float>());
    expect_kernel([&] { return binary<double>(mul, a, b); }, product, epsilon<double>());
    expect_kernel([&] { return scaled<float>(scale, a, b, -2.5); }, multiple, 2 * epsilon<float>());
    expect_kernel([&] { return scaled<double>(scale, a, b, -2.5); }, multiple, 2 * epsilon<double>());
    expect_kernel([&] { return scaled<float>(axpy, a, b, -2.5); }, moved, 4 * epsilon<float>());
    expect_kernel([&] { return scaled<double>(axpy, a, b, -2.5); }, moved, 4 * epsilon<double>());
  }
}

TEST(Elementwise, AddsInPlace) {
  Operand<float> y(uniform(1000, -1, 1, 1)), x(uniform(1000, -1, 1, 2));
  const Values expected = binary<float>(add, y.values(), x.values());
  add.run(Device::cpu, {}, {.a = y.data(), .b = x.data(), .y = y.data(), .count = 1000, .dtype = DType::f32});
  EXPECT_EQ(y.values(), expected);
}

TEST(Elementwise, Fills) {
  for (const int64_t n : kSizes)
    expect_kernel(
        [&] {
          Operand<float> y(n);
          fill.run(Device::cpu, {}, {.y = y.data(), .value = 0.75, .count = n, .dtype = DType::f32});
          return y.values();
        },
        Values(n, 0.75), 0);
}

}  // namespace
}  // namespace hinoki::kernels
