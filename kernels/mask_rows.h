// Rows replaced by one learned vector, as the masked frames of a masked prediction task are.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// y[row] = mask[row] != 0 ? value : x[row]
struct MaskRows {
  const void* x;        // [rows, cols]
  const int32_t* mask;  // [rows]
  const void* value;    // [cols]
  void* y;              // [rows, cols], overwritten; may be x
  int64_t rows, cols;
  DType dtype;
};

// dx[row] = mask[row] != 0 ? 0 : dy[row];  dvalue = sum of dy[row] over the masked rows, in a fixed order
struct MaskRowsGrad {
  const void* dy;           // [rows, cols]
  const int32_t* mask;      // [rows]
  void* dx;                 // [rows, cols], overwritten; may be dy: then rows that are not masked are not touched
  void* dvalue;             // [cols] in wide(dtype)
  bool accumulate = false;  // true adds to what dvalue holds, false overwrites
  int64_t rows, cols;
  DType dtype;
};

inline Kernel<MaskRows> mask_rows{"mask_rows"};
inline Kernel<MaskRowsGrad> mask_rows_grad{"mask_rows_grad"};

}  // namespace hinoki::kernels
