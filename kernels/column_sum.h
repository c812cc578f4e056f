// Sum over the rows of a matrix: the gradient of a bias.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct ColumnSum {
  const void* x;            // [rows, cols], rows `stride` elements apart
  void* sum;                // [cols] in wide(dtype), sum over rows of x
  bool accumulate = false;  // true adds to what is there, false overwrites
  int64_t rows, cols, stride;
  DType dtype;
};

inline Kernel<ColumnSum> column_sum{"column_sum"};

}  // namespace hinoki::kernels
