// Matrices of given column norms: a weight as its direction and its length.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// w[r, c] = v[r, c] * g[c] / |v[:, c]|
struct WeightNorm {
  const void *v, *g;  // [rows, cols], [cols]
  void* w;            // overwritten
  void* norms;        // [cols] in wide(dtype), |v[:, c]|, overwritten
  int64_t rows, cols;
  DType dtype;
};

// With d[c] = sum over r of dw v / norms: dg = d, dv = (dw - v d / norms) g / norms. Sums are in a fixed order.
struct WeightNormGrad {
  const void* dw;  // [rows, cols] in wide(dtype)
  const void *v, *g, *norms;
  void *dv, *dg;                                    // [rows, cols], [cols] in wide(dtype); null: not wanted
  bool accumulate_v = false, accumulate_g = false;  // true adds to what is there, false overwrites
  int64_t rows, cols;
  DType dtype;
};

inline Kernel<WeightNorm> weight_norm{"weight_norm"};
inline Kernel<WeightNormGrad> weight_norm_grad{"weight_norm_grad"};

}  // namespace hinoki::kernels
