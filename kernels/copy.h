// Copies between strided arrays of any element type.
#pragma once
#include "core/base/shape.h"
#include "kernels/kernel.h"

namespace hinoki::kernels {

// y[i0, i1, ...] = x[i0, i1, ...]; x and y do not overlap.
struct Copy {
  const void* x;
  void* y;
  Shape shape, x_strides, y_strides;  // strides in elements, of the same rank
  size_t element;                     // bytes of one: 1, 2, 4 or 8
};

inline Kernel<Copy> copy{"copy"};

}  // namespace hinoki::kernels
