// The nearest of some centres, as k-means assigns rows to clusters.
//
//   score[i][j]  = -|centres[j]|^2 / 2 + <x[i], centres[j]>, a chain of fma over p = 0 .. size - 1 in this order
//   labels[i]    = the lowest j of the largest score[i][j]: the one with the least |x[i] - centres[j]|^2
//   distances[i] = max(0, |x[i]|^2 - 2 score[i][labels[i]])
//
// |centres[j]|^2 is summed in double. Scores are never NaN unless x or centres hold what is not finite; a NaN is not
// larger than anything, and a row without a larger score gets label 0. A label has the same bits on CUDA as on those
// CPUs that have a fused multiply-add.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct Nearest {
  const float* x;              // [rows, size]
  const float* centres;        // [count, size]
  int32_t* labels;             // [rows]
  float* distances = nullptr;  // [rows], squared, if wanted
  int64_t rows, count, size;   // count >= 1
};

inline Kernel<Nearest> nearest{"nearest"};

}  // namespace hinoki::kernels
