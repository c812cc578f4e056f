// Arithmetic on arrays of equal length, element by element.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct Binary {
  const void *a, *b;
  void* y;  // overwritten; may be a or b
  int64_t count;
  DType dtype;
};

struct Scaled {
  const void* x;
  void* y;  // may be x
  double factor;
  int64_t count;
  DType dtype;
};

struct Fill {
  void* y;  // overwritten
  double value;
  int64_t count;
  DType dtype;
};

inline Kernel<Binary> add{"add"};      // y = a + b
inline Kernel<Binary> mul{"mul"};      // y = a * b
inline Kernel<Scaled> scale{"scale"};  // y = factor * x
inline Kernel<Scaled> axpy{"axpy"};    // y = y + factor * x
inline Kernel<Fill> fill{"fill"};      // y = value

}  // namespace hinoki::kernels
