// Dropout (Srivastava et al. 2014) without a stored mask: whether an element is kept is a function of its index.
#pragma once
#include "core/base/philox.h"
#include "kernels/kernel.h"

namespace hinoki::kernels {

// With e = first_index + i: y[i] = (philox(key, e / 4)[e % 4] >= p * 2^32 ? x[i] / (1 - p) : 0) + residual[i].
// The gradient is the same with x = dy and no residual.
struct Dropout {
  const void *x, *residual = nullptr;
  void* y;  // overwritten; may be x or residual
  int64_t count, first_index = 0;
  double p;  // in [0, 1)
  RandomKey key;
  DType dtype;
};

inline Kernel<Dropout> dropout{"dropout"};

}  // namespace hinoki::kernels
