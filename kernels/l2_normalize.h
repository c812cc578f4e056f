// Rows scaled to length one.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// inverse[row] = 1 / max(|x[row]|, eps);  y[row] = inverse[row] * x[row]
struct L2Normalize {
  const void* x;  // [rows, cols]
  void* y;        // [rows, cols], overwritten; may be x
  void* inverse;  // [rows] in wide(dtype), overwritten
  int64_t rows, cols;
  double eps;  // > 0
  DType dtype;
};

// dx = inverse * (dy - y <y, dy>) where |x| > eps, else inverse * dy
struct L2NormalizeGrad {
  const void *dy, *x;
  const void* inverse;
  void* dx;  // overwritten; may be dy
  int64_t rows, cols;
  double eps;
  DType dtype;
};

inline Kernel<L2Normalize> l2_normalize{"l2_normalize"};
inline Kernel<L2NormalizeGrad> l2_normalize_grad{"l2_normalize_grad"};

}  // namespace hinoki::kernels
