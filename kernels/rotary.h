// Rotary position embedding (Su et al. 2021) in place, on the queries and keys inside packed rows.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// The query of head h begins at data[row * row_stride + h * head_stride + query_offset], its key likewise. With
// n = rotary_dims, p the row's position and angle(p, i) = p / scaling * base^(-2 i / n), the pairs (i, i + n/2) of the
// first n values turn:
//   a' = a cos - b sin,  b' = b cos + a sin
// `inverse` turns back by the same angle, which is also the gradient. Other values are not touched. The tables are in
// wide(dtype).
struct Rotary {
  void* data;
  int64_t rows, heads, row_stride, head_stride, query_offset, key_offset, rotary_dims;
  const void *cos, *sin;               // [table_rows, rotary_dims / 2], from rotary_table
  int64_t table_rows;                  // every position must be below
  const int32_t* positions = nullptr;  // [rows]; if null, the position of a row is row % time + offset
  int64_t time = 1, offset = 0;
  bool inverse = false;
  DType dtype;
};

// Cosines and sines of every angle, computed in double. Both are overwritten.
struct RotaryTable {
  void *cos, *sin;  // [positions, rotary_dims / 2]
  int64_t positions, rotary_dims;
  double base = 10000, scaling = 1;
  DType dtype;
};

inline Kernel<Rotary> rotary{"rotary"};
inline Kernel<RotaryTable> rotary_table{"rotary_table"};

}  // namespace hinoki::kernels
