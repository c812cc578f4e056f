#include "kernels/unary.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels {
namespace {

using namespace hinoki::test;

double exact(Exp, double x) { return std::exp(x); }
double exact(Log, double x) { return std::log(x); }
double exact(Erf, double x) { return std::erf(x); }
double exact(Tanh, double x) { return std::tanh(x); }
double exact(Gelu, double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }
double exact(GeluTanh, double x) { return x / (1 + std::exp(-2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

template <class Op, class T>
Values apply(const Values& x) {
  Operand<T> in(x), out(int64_t(x.size()));
  unary<Op>.run(Device::cpu, {}, {.x = in.data(), .y = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

template <class Op, class T>
Values apply_grad(const Values& dy, const Values& x) {
  Operand<T> cotangent(dy), in(x), out(int64_t(x.size()));
  unary_grad<Op>.run(
      Device::cpu, {},
      {.dy = cotangent.data(), .x = in.data(), .dx = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

// Floats of every size and sign, the special ones among them.
Values sweep() {
  Values x = {0.0, -0.0, INFINITY, -INFINITY, NAN, 0x1p-149, -0x1p-149, 0x1p-126, 0x1.fffffep127, -0x1.fffffep127};
  for (uint64_t bits = 0; bits < 1ull << 32; bits += 3001) x.push_back(std::bit_cast<float>(uint32_t(bits)));
  for (double v = -110; v < 110; v += 0x1.1p-10) x.push_back(float(v));
  return x;
}

// The distance of floats around v.
double ulp(double v) { return std::max(0x1p-149, std::exp2(std::floor(std::log2(std::abs(v))) - 23)); }

// Largest distances allowed, in ulp: what kernels/cpu/math.h states.
constexpr double allowed(Exp) { return 1; }
constexpr double allowed(Log) { return 1; }
constexpr double allowed(Erf) { return 6; }
constexpr double allowed(Tanh) { return 5; }

template <class Op>
class Functions : public testing::Test {};
using Elementary = testing::Types<Exp, Log, Erf, Tanh>;
TYPED_TEST_SUITE(Functions, Elementary);

TYPED_TEST(Functions, AreExactToAFewUlpOverAllFloats) {
  const Values x = sweep();
  Values expected, tolerance;
  for (const double v : x) {
    const double y = exact(TypeParam{}, v);
    const bool overflows = std::isfinite(y) && std::isinf(float(y));
    expected.push_back(overflows ? std::copysign(INFINITY, y) : y);
    tolerance.push_back(std::isfinite(y) && !overflows ? allowed(TypeParam{}) * ulp(y) : 0);
  }
  expect_kernel([&] { return apply<TypeParam, float>(x); }, expected, tolerance);
}

template <class Op>
class Activations : public testing::Test {};
using Gelus = testing::Types<Gelu, GeluTanh>;
TYPED_TEST_SUITE(Activations, Gelus);

// 1 + erf(x) cancels for negative x, so the error is relative to x and not to the value.
TYPED_TEST(Activations, AreExactToAFewEpsilonOfTheirArgument) {
  Values x, expected, tolerance;
  for (const double v : sweep())
    if (std::isfinite(v) && std::abs(v) < 1e30) {
      x.push_back(v);
      expected.push_back(exact(TypeParam{}, v));
      tolerance.push_back(4 * epsilon<float>() * std::abs(v) + 0x1p-149);
    }
  expect_kernel([&] { return apply<TypeParam, float>(x); }, expected, tolerance);
}

template <class Op>
class Slopes : public testing::Test {};
using All = testing::Types<Exp, Log, Erf, Tanh, Gelu, GeluTanh>;
TYPED_TEST_SUITE(Slopes, All);

TYPED_TEST(Slopes, AreTheDerivatives) {
  const Values x = uniform(257, 0.05, 3, 1), dy = uniform(257, -1, 1, 2);
  Values argument = x;
  if (!std::is_same_v<TypeParam, Log>)
    for (size_t i = 0; i < x.size(); i += 2) argument[i] = -x[i];
  expect_derivative([&](const Values& v) { return dot(dy, apply<TypeParam, double>(v)); }, argument,
                    apply_grad<TypeParam, double>(dy, argument));
}

TYPED_TEST(Slopes, InFloatAreThoseInDouble) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000, 4099, 40000}) {
    Values x = uniform(n, 0.05, 9, 3), dy = uniform(n, -1, 1, 4);
    if (!std::is_same_v<TypeParam, Log>)
      for (int64_t i = 0; i < n; i += 2) x[i] = -x[i];
    const Values expected = apply_grad<TypeParam, double>(dy, x);
    Values tolerance;
    // The slopes add terms of size 1; exp and log have slopes as large as their value.
    for (int64_t i = 0; i < n; ++i) tolerance.push_back(8 * epsilon<float>() * (1 + std::abs(expected[i])));
    expect_kernel([&] { return apply_grad<TypeParam, float>(dy, x); }, expected, tolerance);
  }
}

TEST(Unary, WorksInPlace) {
  Values x = uniform(1000, -3, 3, 5);
  Operand<float> v(x);
  unary<Gelu>.run(Device::cpu, {}, {.x = v.data(), .y = v.data(), .count = 1000, .dtype = DType::f32});
  EXPECT_EQ(v.values(), (apply<Gelu, float>(x)));
}

TEST(Unary, RefusesOtherTypes) {
  const Unary k{.x = nullptr, .y = nullptr, .count = 1, .dtype = DType::bf16};
  EXPECT_ERROR(unary<Exp>.run(Device::cpu, {}, k), Exit::failure, "arithmetic on the CPU is f32 or f64, not bf16");
}

}  // namespace
}  // namespace hinoki::kernels
