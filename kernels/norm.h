// Figures of long arrays, one for each chunk of 64 Ki elements, in double: the caller adds them in order, so sharded
// and whole arrays give the same sum.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

constexpr int64_t kChunk = 65536;
constexpr int64_t chunks_of(int64_t count) { return (count + kChunk - 1) / kChunk; }

struct Sums {
  const void* x;
  double* sums;  // [chunks_of(count)], overwritten
  int64_t count;
  DType dtype;
};

struct FiniteCheck {
  const void* x;
  int64_t* first;  // [chunks_of(count)], overwritten: the index in x of a chunk's first infinity or NaN, or -1
  int64_t count;
  DType dtype;
};

inline Kernel<Sums> chunk_sums{"chunk_sums"};        // of x
inline Kernel<Sums> squared_norms{"squared_norms"};  // of x^2
inline Kernel<FiniteCheck> finite_check{"finite_check"};

}  // namespace hinoki::kernels
