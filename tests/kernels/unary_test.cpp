#include "kernels/unary.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::unary_test {
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
  unary<Op>.run(here(), {}, {.x = in.data(), .y = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

template <class Op, class T>
Values apply_grad(const Values& dy, const Values& x) {
  Operand<T> cotangent(dy), in(x), out(int64_t(x.size()));
  unary_grad<Op>.run(
      here(), {},
      {.dy = cotangent.data(), .x = in.data(), .dx = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

// Floats of every size and sign, the special ones among them. An emulated GPU gets fewer.
Values sweep(int every = 1) {
  Values x = {0.0, -0.0, INFINITY, -INFINITY, NAN, 0x1p-149, -0x1p-149, 0x1p-126, 0x1.fffffep127, -0x1.fffffep127};
  for (uint64_t bits = 0; bits < 1ull << 32; bits += uint64_t(3001 * every))
    x.push_back(std::bit_cast<float>(uint32_t(bits)));
  for (double v = -110; v < 110; v += 0x1.1p-10 * every) x.push_back(float(v));
  return x;
}

// The distance of floats around v.
double ulp(double v) { return std::max(0x1p-149, std::exp2(std::floor(std::log2(std::abs(v))) - 23)); }

// Largest distances allowed, in ulp: what kernels/cpu/math.h states, and the CUDA programming guide of its functions.
constexpr double allowed(Exp, Device d) { return d == Device::cpu ? 1 : 2; }
constexpr double allowed(Log, Device) { return 1; }
constexpr double allowed(Erf, Device d) { return d == Device::cpu ? 6 : 2; }
constexpr double allowed(Tanh, Device d) { return d == Device::cpu ? 5 : 2; }

template <class Op>
class Functions : public testing::Test {};
using Elementary = testing::Types<Exp, Log, Erf, Tanh>;
TYPED_TEST_SUITE(Functions, Elementary);

struct Sweep {
  Values x, expected = {}, tolerance = {};
};

template <class Op>
Sweep over_all_floats(Device d) {
  Sweep s{.x = sweep(d == Device::cpu ? 1 : 16)};
  for (const double v : s.x) {
    const double y = exact(Op{}, v);
    const bool overflows = std::isfinite(y) && std::isinf(float(y));
    s.expected.push_back(overflows ? std::copysign(INFINITY, y) : y);
    s.tolerance.push_back(std::isfinite(y) && !overflows ? allowed(Op{}, d) * ulp(y) : 0);
  }
  return s;
}

TYPED_TEST(Functions, AreExactToAFewUlpOverAllFloats) {
  const Sweep host = over_all_floats<TypeParam>(Device::cpu), device = over_all_floats<TypeParam>(Device::cuda);
  expect_kernel([&] { return apply<TypeParam, float>(host.x); }, host.expected, host.tolerance);
  expect_on_cuda([&] { return apply<TypeParam, float>(device.x); }, device.expected, device.tolerance);
}

template <class Op>
class Activations : public testing::Test {};
using Gelus = testing::Types<Gelu, GeluTanh>;
TYPED_TEST_SUITE(Activations, Gelus);

// 1 + erf(x) cancels for negative x, so the error is relative to x and not to the value.
template <class Op>
Sweep over_usual_floats(Device d) {
  Sweep s;
  for (const double v : sweep(d == Device::cpu ? 1 : 16))
    if (std::isfinite(v) && std::abs(v) < 1e30) {
      s.x.push_back(v);
      s.expected.push_back(exact(Op{}, v));
      s.tolerance.push_back(4 * epsilon<float>() * std::abs(v) + 0x1p-149);
    }
  return s;
}

TYPED_TEST(Activations, AreExactToAFewEpsilonOfTheirArgument) {
  const Sweep host = over_usual_floats<TypeParam>(Device::cpu), device = over_usual_floats<TypeParam>(Device::cuda);
  expect_kernel([&] { return apply<TypeParam, float>(host.x); }, host.expected, host.tolerance);
  expect_on_cuda([&] { return apply<TypeParam, float>(device.x); }, device.expected, device.tolerance);
}

TYPED_TEST(Activations, HaveLimits) {
  expect_on_cuda([] { return apply<TypeParam, float>({0.0, INFINITY, NAN}); }, {0.0, INFINITY, NAN}, 0);
  expect_on_cuda(
      [] {
        return apply_grad<TypeParam, float>({1, 1, 1, 1}, {0.0, INFINITY, -INFINITY, NAN});
      },
      {0.5, 1, 0, NAN}, epsilon<float>());
}

template <class Op>
class Slopes : public testing::Test {};
using All = testing::Types<Exp, Log, Erf, Tanh, Gelu, GeluTanh>;
TYPED_TEST_SUITE(Slopes, All);

TYPED_TEST(Slopes, AreTheDerivatives) {
  const Values x = uniform_values(257, 0.05, 3, 1), dy = uniform_values(257, -1, 1, 2);
  Values argument = x;
  if (!std::is_same_v<TypeParam, Log>)
    for (size_t i = 0; i < x.size(); i += 2) argument[i] = -x[i];
  expect_derivative([&](const Values& v) { return dot(dy, apply<TypeParam, double>(v)); }, argument,
                    apply_grad<TypeParam, double>(dy, argument));
}

TYPED_TEST(Slopes, InFloatAreThoseInDouble) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000, 4099, 40000}) {
    Values x = uniform_values(n, 0.05, 9, 3), dy = uniform_values(n, -1, 1, 4);
    if (!std::is_same_v<TypeParam, Log>)
      for (int64_t i = 0; i < n; i += 2) x[i] = -x[i];
    const Values expected = apply_grad<TypeParam, double>(dy, x);
    Values tolerance;
    // The slopes add terms of size 1; exp and log have slopes as large as their value.
    for (int64_t i = 0; i < n; ++i) tolerance.push_back(8 * epsilon<float>() * (1 + std::abs(expected[i])));
    expect_everywhere([&] { return apply_grad<TypeParam, float>(dy, x); }, expected, tolerance);
  }
}

TYPED_TEST(Slopes, AndValuesInBfloatAreRoundedOnce) {
  for (const int64_t n : {1, 7, 8, 9, 1000, 4099}) {
    Values x = rounded_to_bf16(uniform_values(n, 0.05, 9, 3));
    if (!std::is_same_v<TypeParam, Log>)
      for (int64_t i = 0; i < n; i += 2) x[i] = -x[i];
    const Values dy = rounded_to_bf16(uniform_values(n, -1, 1, 4));
    const Values value = apply<TypeParam, double>(x), slope = apply_grad<TypeParam, double>(dy, x);
    // Half a unit in the last place of bf16, 2^-8, and the error in float.
    const auto tolerance = [](const Values& of) {
      Values t;
      for (const double v : of) t.push_back(0x1p-8 * std::abs(v) + 8 * epsilon<float>() * (1 + std::abs(v)));
      return t;
    };
    expect_on_cuda([&] { return apply<TypeParam, bf16>(x); }, value, tolerance(value));
    expect_on_cuda([&] { return apply_grad<TypeParam, bf16>(dy, x); }, slope, tolerance(slope));
  }
}

TEST(Unary, WorksInPlace) {
  const Values x = uniform_values(1000, -3, 3, 5);
  const auto in_place = [&] {
    Operand<float> v(x);
    unary<Gelu>.run(here(), {}, {.x = v.data(), .y = v.data(), .count = 1000, .dtype = DType::f32});
    return v.values();
  };
  EXPECT_EQ(in_place(), (apply<Gelu, float>(x)));
  expect_on_cuda(in_place, apply<Gelu, double>(x), 4 * 3 * epsilon<float>());
}

TEST(Unary, RefusesOtherTypes) {
  const Unary k{.x = nullptr, .y = nullptr, .count = 1, .dtype = DType::bf16};
  EXPECT_ERROR(unary<Exp>.run(Device::cpu, {}, k), Exit::failure, "arithmetic on the CPU is f32 or f64, not bf16");
  const Unary on_cuda{.x = nullptr, .y = nullptr, .count = 1, .dtype = DType::f64};
  if (has_device(Device::cuda))
    EXPECT_ERROR(unary<Exp>.run(Device::cuda, {}, on_cuda), Exit::failure,
                 "exp: arrays on CUDA are f32 or bf16, not f64");
}

}  // namespace
}  // namespace hinoki::kernels::unary_test
