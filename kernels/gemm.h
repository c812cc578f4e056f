// Matrix product. Row-major, leading dimensions in elements.
//
//   C[i][j] = fma(A[i][p], B[p][j], C[i][j])  for p = 0 .. k-1 in this order, from a start of 0, bias[j] or C[i][j]
//
// Each element is this one chain. So its bits depend neither on the number of threads, nor on m or n, nor on which of
// the instruction sets with a fused multiply-add runs it. (The portable target rounds product and sum separately.)
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct Gemm {
  const void *a, *b;
  void* c;
  int64_t m, n, k;  // C is [m, n]
  int64_t lda, ldb, ldc;
  bool a_transposed = false, b_transposed = false;  // A stored as [k, m], B as [n, k]
  const void* bias = nullptr;                       // [n]
  bool accumulate = false;                          // start from C; not together with bias
  DType dtype = DType::f32;                         // of A and bias: f32 or f64 on the CPU, f32 or bf16 on CUDA
  DType b_dtype = dtype;  // of B: the same; on the CPU also bf16 or f16 with f32 (widened as they are read)
  DType c_dtype = dtype;  // of C: the same, or f32 where A and B are bf16
};

inline Kernel<Gemm> gemm{"gemm"};

}  // namespace hinoki::kernels
