#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::elementwise_test {
namespace {

using namespace hinoki::test;

constexpr int64_t kSizes[] = {0, 1, 31, 32, 33, 1000, 4099, 100000};

template <class T>
Values binary(const Kernel<Binary>& op, const Values& a, const Values& b) {
  Operand<T> first(a), second(b), y(int64_t(a.size()));
  op.run(here(), {}, {.a = first.data(), .b = second.data(), .y = y.data(), .count = y.size(), .dtype = dtype_of<T>()});
  return y.values();
}

template <class T>
Values scaled(const Kernel<Scaled>& op, const Values& x, const Values& start, double factor) {
  Operand<T> in(x), y(start, reads_if(&op == &axpy));
  op.run(here(), {}, {.x = in.data(), .y = y.data(), .factor = factor, .count = y.size(), .dtype = dtype_of<T>()});
  return y.values();
}

// Every result is rounded once, or twice without a fused multiply-add.
TEST(Elementwise, IsRoundedOnce) {
  for (const int64_t n : kSizes) {
    const Values a = rounded_to_bf16(uniform_values(n, -1, 1, 1)), b = rounded_to_bf16(uniform_values(n, -1, 1, 2));
    Values sum, product, multiple, moved;
    for (int64_t i = 0; i < n; ++i) {
      sum.push_back(a[i] + b[i]);
      product.push_back(a[i] * b[i]);
      multiple.push_back(-2.5 * a[i]);
      moved.push_back(b[i] - 2.5 * a[i]);
    }
    expect_everywhere([&] { return binary<float>(add, a, b); }, sum, epsilon<float>());
    expect_kernel([&] { return binary<double>(add, a, b); }, sum, epsilon<double>());
    expect_on_cuda([&] { return binary<bf16>(add, a, b); }, sum, epsilon<bf16>());
    expect_everywhere([&] { return binary<float>(mul, a, b); }, product, epsilon<float>());
    expect_kernel([&] { return binary<double>(mul, a, b); }, product, epsilon<double>());
    expect_on_cuda([&] { return binary<bf16>(mul, a, b); }, product, epsilon<bf16>());
    expect_everywhere([&] { return scaled<float>(scale, a, b, -2.5); }, multiple, 2 * epsilon<float>());
    expect_kernel([&] { return scaled<double>(scale, a, b, -2.5); }, multiple, 2 * epsilon<double>());
    expect_on_cuda([&] { return scaled<bf16>(scale, a, b, -2.5); }, multiple, 2 * epsilon<bf16>());
    expect_everywhere([&] { return scaled<float>(axpy, a, b, -2.5); }, moved, 4 * epsilon<float>());
    expect_kernel([&] { return scaled<double>(axpy, a, b, -2.5); }, moved, 4 * epsilon<double>());
    expect_on_cuda([&] { return scaled<bf16>(axpy, a, b, -2.5); }, moved, 4 * epsilon<bf16>());
  }
}

// Arrays that begin one element after an aligned address, as views do.
template <class T>
void check_shifted(int64_t n) {
  const Values a = rounded_to_bf16(uniform_values(n, -1, 1, 1)), b = rounded_to_bf16(uniform_values(n, -1, 1, 2));
  Values expected(1, 77);
  for (int64_t i = 1; i < n; ++i) expected.push_back(a[i] + b[i]);
  expect_everywhere(
      [&] {
        Operand<T> first(a), second(b), y(n);
        add.run(
            here(), {},
            {.a = first.data() + 1, .b = second.data() + 1, .y = y.data() + 1, .count = n - 1, .dtype = dtype_of<T>()});
        return y.values();
      },
      expected, epsilon<T>());
}

TEST(Elementwise, TakesUnalignedArrays) {
  for (const int64_t n : {1, 2, 33, 1000}) check_shifted<float>(n);
}

template <class T>
Values sum_in_place(const Values& a, const Values& b) {
  Operand<T> y(a), x(b);
  add.run(here(), {}, {.a = y.data(), .b = x.data(), .y = y.data(), .count = y.size(), .dtype = dtype_of<T>()});
  return y.values();
}

TEST(Elementwise, AddsInPlace) {
  const Values a = uniform_values(1000, -1, 1, 1), b = uniform_values(1000, -1, 1, 2);
  expect_everywhere([&] { return sum_in_place<float>(a, b); }, binary<float>(add, a, b), 0);
  const Values coarse_a = rounded_to_bf16(a), coarse_b = rounded_to_bf16(b);
  expect_on_cuda([&] { return sum_in_place<bf16>(coarse_a, coarse_b); },
                 rounded_to_bf16(binary<double>(add, coarse_a, coarse_b)), 0);
}

template <class T>
Values filled(int64_t n) {
  Operand<T> y(n);
  fill.run(here(), {}, {.y = y.data(), .value = 0.75, .count = n, .dtype = dtype_of<T>()});
  return y.values();
}

TEST(Elementwise, Fills) {
  for (const int64_t n : kSizes) {
    expect_everywhere([&] { return filled<float>(n); }, Values(n, 0.75), 0);
    expect_on_cuda([&] { return filled<bf16>(n); }, Values(n, 0.75), 0);
  }
}

TEST(Elementwise, RefusesDoubleOnCuda) {
  if (has_device(Device::cuda))
    EXPECT_ERROR(fill.run(Device::cuda, {}, {.y = nullptr, .value = 0, .count = 1, .dtype = DType::f64}), Exit::failure,
                 "fill: arrays on CUDA are f32 or bf16, not f64");
}

}  // namespace
}  // namespace hinoki::kernels::elementwise_test
