// Elementary functions for inner loops: scalar and branch-free, so that the compiler turns a loop over them into vector
// code. Written for float; double goes to libm, since it serves the gradient checks and not speed.
//
// Largest error over floats of every size (tests/kernels/unary_test.cpp, against libm's double): exp and log 1 ulp,
// tanh 5 ulp, erf 6 ulp. Infinities, NaN, signed zeros and subnormal numbers are treated as IEEE 754 asks.
#pragma once
#include <cstdint>

#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {

inline uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
inline float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline float power_of_two(int32_t n) { return float_of(uint32_t(n + 127) << 23); }  // -127 <= n <= 128; -127 gives 0

// NaN passes through: every comparison with it is false.
template <class T>
inline T clamp(T x, T low, T high) {
  x = x > high ? high : x;
  return x < low ? low : x;
}

inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }

// e^x = 2^n e^r with |r| <= ln(2) / 2.
struct ExpParts {
  int32_t n;
  float power;  // e^r
};

inline ExpParts exp_parts(float x) {
  constexpr float kRound = 0x1.8p23f;  // adding it leaves round(t) in the low bits
  const float shifted = x * 1.44269504f + kRound, n = shifted - kRound;
  float r = x - n * 0x1.62e4p-1f;  // ln(2) in two parts; the first times n is exact
  r = r - n * 0x1.7f7d1cp-20f;
  float p = 0.00138146023f;
  p = p * r + 0.00836871564f;
  p = p * r + 0.041668389f;
  p = p * r + 0.166665211f;
  p = p * r + 0.49999994f;
  return {int32_t(bits_of(shifted) - bits_of(kRound)), p * (r * r) + r + 1};
}

inline float exp(float x) {
  const auto [n, power] = exp_parts(clamp(x, -104.0f, 89.0f));
  const int32_t half = n >> 1;  // 2^n itself may be infinite or subnormal; the last product rounds once
  return power * power_of_two(half) * power_of_two(n - half);
}

// For x <= 0, as in a softmax: cheaper than exp. Results below 2^-126 may be 0.
inline float exp_not_positive(float x) {
  const auto [n, power] = exp_parts(clamp(x, -88.0f, 0.0f));
  return power * power_of_two(n);
}

inline float log(float x) {
  const bool subnormal = x < 0x1p-126f;
  const uint32_t bits = bits_of(subnormal ? x * 0x1p23f : x);
  const int32_t e = int32_t(bits - 0x3f3504f3u) >> 23;  // x = 2^e m with sqrt(1/2) <= m < sqrt(2)
  const float f = float_of(bits - (uint32_t(e) << 23)) - 1, n = float(subnormal ? e - 23 : e);
  float p = 0.067466408f;
  p = p * f - 0.116756521f;
  p = p * f + 0.11888162f;
  p = p * f - 0.124055892f;
  p = p * f + 0.142195523f;
  p = p * f - 0.166679963f;
  p = p * f + 0.200021192f;
  p = p * f - 0.250000089f;
  p = p * f + 0.333333135f;
  const float square = f * f;
  const float small = p * (square * f) + n * 0x1.7f7d1cp-20f - 0.5f * square;
  float y = n * 0x1.62e4p-1f + (f + small);
  y = x == __builtin_inff() || x != x ? x : y;
  y = x == 0 ? -__builtin_inff() : y;
  return x < 0 ? __builtin_nanf("") : y;
}

// x P(x^2) / Q(x^2), fitted to a relative error of 2e-9 up to the point from where erf is 1 in float.
inline float erf(float x) {
  const float a = clamp(x, -3.925f, 3.925f), s = a * a;
  float p = -1.28578614e-08f;
  p = p * s + 4.62002617e-06f;
  p = p * s + 0.0003771669f;
  p = p * s + 0.00384031632f;
  p = p * s + 0.0542547964f;
  p = p * s + 0.185148329f;
  p = p * s + 1.12837923f;
  float q = 6.25005559e-05f;
  q = q * s + 0.00130241341f;
  q = q * s + 0.0154348835f;
  q = q * s + 0.113887191f;
  q = q * s + 0.497416824f;
  q = q * s + 1;
  return clamp(a * p / q, -1.0f, 1.0f);
}

// The same form, with an error of 2e-9 up to where tanh is 1 in float.
inline float tanh(float x) {
  const float a = clamp(x, -9.02f, 9.02f), s = a * a;
  float p = -1.22042836e-11f;
  p = p * s + 3.05861754e-08f;
  p = p * s + 2.80079512e-05f;
  p = p * s + 0.00386835239f;
  p = p * s + 0.13679935f;
  p = p * s + 1;
  float q = 1.28740055e-06f;
  q = q * s + 0.000393867434f;
  q = q * s + 0.0272459295f;
  q = q * s + 0.470132679f;
  q = q * s + 1;
  return clamp(a * p / q, -1.0f, 1.0f);
}

inline double exp(double x) { return __builtin_exp(x); }
inline double exp_not_positive(double x) { return __builtin_exp(x); }
inline double log(double x) { return __builtin_log(x); }
inline double erf(double x) { return __builtin_erf(x); }
inline double tanh(double x) { return __builtin_tanh(x); }

// e^-x and sigmoid(x) = 1 / (1 + e^-x), with x cut off where sigmoid is next to 0 or 1: in float it stays above 1e-35,
// since subnormal numbers cost a hundred times as much as others.
template <class T>
struct Logistic {
  T exponential, sigmoid;
};
inline Logistic<float> logistic(float x) {
  const auto [n, power] = exp_parts(clamp(-x, -80.0f, 80.0f));
  const float e = power * power_of_two(n);
  return {e, 1 / (1 + e)};
}
inline Logistic<double> logistic(double x) {
  const double e = exp(clamp(-x, -700.0, 700.0));
  return {e, 1 / (1 + e)};
}

// A function and its derivative, which share their costly part. Whoever uses one of them does not pay for the other.
template <class T>
struct ValueAndSlope {
  T value, slope;
};

// x Phi(x) and Phi(x) + x phi(x), with Phi the normal distribution, (1 + erf(x / sqrt(2))) / 2, and phi its density,
// which beyond 16 is 0 in float, and nothing beside 1 in double.
template <class T>
inline ValueAndSlope<T> gelu(T x) {
  const T e = erf(x * T(0.70710678118654752)), a = clamp(x, T(-16), T(16));
  const T density = T(0.39894228040143268) * exp_not_positive(T(-0.5) * a * a);
  return {T(0.5) * x * (1 + e), T(0.5) + T(0.5) * e + a * density};
}

// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), which is x sigmoid(2 u); the slope is 0 or 1 beyond 9.
template <class T>
inline ValueAndSlope<T> gelu_tanh(T x) {
  const auto [e, s] = logistic(x * (T(1.5957691216057308) + T(0.07135481627260025) * x * x));
  const T a = clamp(x, T(-9), T(9)), square = a * a;
  return {x * s, s + a * s * (e * s) * (T(1.5957691216057308) + T(0.21406444881780076) * square)};
}

}  // namespace hinoki::kernels::HINOKI_TARGET
