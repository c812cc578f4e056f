// The weighted sum of the squares of rows, as a penalty on activations is, one figure for each block of rows, in
// double: the caller adds them in order. Rows of weight 0 are not read.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

constexpr int64_t kSquaresRows = 32;  // of a block
constexpr int64_t squares_blocks(int64_t rows) { return (rows + kSquaresRows - 1) / kSquaresRows; }

struct WeightedSquares {
  const void* x;         // [rows, cols]
  const float* weights;  // [rows]
  double* sums;          // [squares_blocks(rows)]: sum over a block's rows of weights[row] * sum over cols of x^2
  int64_t rows, cols;
  DType dtype;
};

struct WeightedSquaresGrad {  // dx = 2 * dy * weights[row] * x
  const void* x;
  const float* weights;
  double dy;
  void* dx;  // overwritten
  int64_t rows, cols;
  DType dtype;
};

inline Kernel<WeightedSquares> weighted_squares{"weighted_squares"};
inline Kernel<WeightedSquaresGrad> weighted_squares_grad{"weighted_squares_grad"};

}  // namespace hinoki::kernels
