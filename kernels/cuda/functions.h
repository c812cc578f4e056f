// The functions of kernels/unary.h and their slopes, in f32, for kernels.
//
// exp, log, erf and tanh are CUDA's own (within 2 ulp). GELU has to fit in the time that memory takes: in bf16 an H200
// has some 30 instructions for each element. So value and slope are made from one exponential and one reciprocal; the
// error of the value is below 4 epsilon |x|, that of the slope below 4 epsilon (tests/kernels/unary_test.cpp).
#pragma once
#include "kernels/cuda/numbers.h"
#include "kernels/unary.h"

namespace hinoki::kernels {

constexpr float kLog2E = 1.44269504f;

// min(x, limit), but NaN stays NaN.
__device__ inline float at_most(float x, float limit) { return x > limit ? limit : x; }
__device__ inline float at_least(float x, float limit) { return x < limit ? limit : x; }

// For a >= 0: Phi(-a) = e^(-a^2 / 2) tail with tail = t P(t) and t = 1 / (1 + 0.29 a), fitted to a relative error of
// 2e-8 for a <= 7 and 2e-5 for a <= 13. One formula serves the value and the slope, and Phi(-a) does not cancel.
struct NormalTail {
  float exponential, tail;
};
__device__ inline NormalTail normal_tail(float a) {
  const float t = reciprocal_approx(fmaf(0.29f, a, 1.0f));
  float p = 0.0388072461f;
  p = fmaf(p, t, -0.18987629f);
  p = fmaf(p, t, 0.298924789f);
  p = fmaf(p, t, -0.141395765f);
  p = fmaf(p, t, 0.177528628f);
  p = fmaf(p, t, 0.0810764575f);
  p = fmaf(p, t, 0.119490273f);
  p = fmaf(p, t, 0.115444651f);
  return {exp2_approx(-0.5f * kLog2E * (a * a)), p * t};
}

// A function and its derivative. Whoever uses one of them does not pay for the other.
struct ValueAndSlope {
  float value, slope;
};

// x Phi(x) and Phi(x) + x phi(x). Beyond 16 the density is 0 in f32; e^(-128) a is finite, as e^(-inf) inf would not
// be.
__device__ inline ValueAndSlope gelu(float x) {
  const float a = at_most(fabsf(x), 16.0f);
  const auto [exponential, tail] = normal_tail(a);
  const float of_negative = exponential * fmaf(-0.398942280f, a, tail);
  return {fmaf(-a * exponential, tail, fmaxf(x, 0.0f)), x < 0 ? of_negative : 1 - of_negative};
}

// x s and s + x s (1 - s) (1.5957691 + 0.2140644 x^2), with s = sigmoid(2 u) and 2 u = x (1.5957691 + 0.0713548 x^2):
// kernels/cpu/math.h. Beyond 9 s is next to 0 or 1.
__device__ inline ValueAndSlope gelu_tanh(float x) {
  const float above = at_least(x, -9.0f), a = at_most(above, 9.0f), square = a * a;
  const float e = exp2_approx(a * fmaf(-0.0713548163f * kLog2E, square, -1.59576912f * kLog2E));
  const float s = reciprocal_approx(1 + e), rest = e * s;
  return {above * s, fmaf(a * s * rest, fmaf(0.214064449f, square, 1.59576912f), s)};
}

// clang-format off
__device__ inline float value(Exp, float x) { return expf(x); }
__device__ inline float slope(Exp, float x) { return expf(x); }
__device__ inline float value(Log, float x) { return logf(x); }
__device__ inline float slope(Log, float x) { return 1 / x; }
__device__ inline float value(Erf, float x) { return erff(x); }
__device__ inline float slope(Erf, float x) { return 1.12837917f * expf(-x * x); }
__device__ inline float value(Tanh, float x) { return tanhf(x); }
__device__ inline float slope(Tanh, float x) { const float y = tanhf(x); return 1 - y * y; }
__device__ inline ValueAndSlope value_and_slope(Gelu, float x) { return gelu(x); }
__device__ inline ValueAndSlope value_and_slope(GeluTanh, float x) { return gelu_tanh(x); }
__device__ inline float value(Gelu, float x) { return gelu(x).value; }
__device__ inline float slope(Gelu, float x) { return gelu(x).slope; }
__device__ inline float value(GeluTanh, float x) { return gelu_tanh(x).value; }
__device__ inline float slope(GeluTanh, float x) { return gelu_tanh(x).slope; }
// clang-format on

}  // namespace hinoki::kernels
