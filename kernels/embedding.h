// Rows of a table by index, with a second table of positions added; and the gradients of both tables.
#pragma once
#include <string>

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
  DType dtype;                                         // of y
  DType table_dtype = dtype, positions_dtype = dtype;  // the same, or bf16 or f16 with f32
};

inline std::string id_not_in_table(int64_t id, int64_t place, int64_t vocabulary) {
  return say("embedding: id ", id, " at place ", place, " is not in a table of ", vocabulary,
             "; does the tokenizer belong to this model?");
}

// What holds on every device; ids are checked where they are.
inline void check_tables(const Embedding& k) {
  const int64_t last = k.first_position + (k.rows < k.time ? k.rows : k.time);
  require(!k.positions || (k.time > 0 && k.first_position >= 0 && last <= k.position_count),
          "embedding: positions up to ", last, " do not fit in a table of ", k.position_count);
  for (const DType stored : {k.table_dtype, k.positions_dtype})
    require(stored == k.dtype || (k.dtype == DType::f32 && (stored == DType::bf16 || stored == DType::f16)),
            "embedding: a table of ", stored, " cannot give ", k.dtype);
}

// dtable[i] = sum of dy[row] over the rows with id i, added in row order; dtable is in wide(dtype).
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
