// Arrays from one float type to another.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// y[i] = x[i], rounded to nearest even. From f32, f64, bf16 or f16 to f32 or f64, and from f32 to bf16.
struct Cast {
  const void* x;
  void* y;  // overwritten
  int64_t count;
  DType from, to;
};

inline Kernel<Cast> cast{"cast"};

}  // namespace hinoki::kernels
