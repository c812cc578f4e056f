// Rows of a table by index, with a second table of positions added; and the gradients of both tables.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// y[row] = table[ids[row]] + positions[first_position + row % time]. Ids outside the table are an error.
struct Embedding {
  const int32_t* ids;               // [rows]
  const void* table;                // [vocabulary, cols]
  const void* positions = nullptr;  // [position_count, cols]; null: nothing is added
  void* y;                          // [rows, cols], overwritten
  int64_t rows, cols, vocabulary;
  int64_t position_count = 0, time = 1, first_position = 0;
  DType dtype;                                         // of y: f32 or f64
  DType table_dtype = dtype, positions_dtype = dtype;  // the same, or bf16 or f16 with f32
};

// dtable[i] = sum of dy[row] over the rows with id i, added in row order.
struct EmbeddingGrad {
  const void* dy;           // [rows, cols]
  const int32_t* ids;       // [rows], checked before; null: the id of a row is first + row % time, as of positions
  void* dtable;             // [vocabulary, cols]
  bool accumulate = false;  // true adds to what is there, false overwrites all of the table
  int64_t rows, cols, vocabulary;
  int64_t time = 1, first = 0;
  DType dtype;
};

inline Kernel<Embedding> embedding{"embedding"};
inline Kernel<EmbeddingGrad> embedding_grad{"embedding_grad"};

}  // namespace hinoki::kernels
