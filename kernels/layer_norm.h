// Layer normalization over the last axis, with the residual sum before it in the same pass.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// Arrays are row-major [rows, cols] of dtype; statistics and gradients of parameters are in wide(dtype). All outputs are
// overwritten.
struct LayerNorm {
  const void *x, *delta = nullptr, *delta2 = nullptr;  // s = x + delta + delta2; a null delta counts as 0
  const void *weight, *bias = nullptr;                 // [cols]; a null bias counts as 0
  void* sum = nullptr;                                 // s, wanted if there is a delta; may be x or a delta
  void* y;                                             // (s - mean) * rstd * weight + bias; may be s
  void *mean, *rstd;                                   // [rows], of s, kept for the gradient
  int64_t rows, cols;
  double eps;  // rstd = 1 / sqrt(avg((s - mean)^2) + eps)
  DType dtype;
};

// With g = dy * weight and h = (s - mean) * rstd:
struct LayerNormGrad {
  const void *dy, *s, *weight, *mean, *rstd;
  const void* dsum = nullptr;  // what arrives at s from elsewhere; null counts as 0
  void* dx;                    // rstd * (g - avg(g) - h * avg(g * h)) + dsum; overwritten; may be dy or dsum
  void* dweight = nullptr;     // [cols], sum over rows of dy * h; null: not wanted
  void* dbias = nullptr;       // [cols], sum over rows of dy; null: not wanted
  bool accumulate = false;     // dweight and dbias: true adds to what is there, false overwrites
  int64_t rows, cols;
  DType dtype;
};

inline Kernel<LayerNorm> layer_norm{"layer_norm"};
inline Kernel<LayerNormGrad> layer_norm_grad{"layer_norm_grad"};

}  // namespace hinoki::kernels
