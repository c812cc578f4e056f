// Matrix product. Row-major, leading dimensions in elements.
//
//   C[i][j] = fma(A[i][p], B[p][j], C[i][j])  for p = 0 .. k-1 in this order, from a start of 0, bias[j] or C[i][j]
//
// On the CPU each element is this one chain. So its bits depend neither on the number of threads, nor on m or n, nor on
// which of the instruction sets with a fused multiply-add runs it. (The portable target rounds product and sum
// separately.) On CUDA the order is the library's, the same for every product of the same sizes on the same GPU.
//
// Where A or B holds its k as rows it can be summed over them on the way: a_sums[i] = sum over p of A[i][p]. That is
// the gradient of a bias, from the product that makes the weight's. Sums are in wide(dtype).
//
// On CUDA a product takes GELU along, in its tanh form, which is the one that cuBLASLt has:
//
//   U = A B + bias, C = gelu(U)      and back      C = A B * gelu'(U)
#pragma once
#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace hinoki::kernels {

struct Gemm {
  const void *a, *b;
  void* c;
  int64_t m, n, k;  // C is [m, n]
  int64_t lda, ldb, ldc;
  bool a_transposed = false, b_transposed = false;  // A stored as [k, m], B as [n, k]
  const void* bias = nullptr;                       // [n], of c_dtype
  bool accumulate = false;                          // start from C; not together with bias
  void* a_sums = nullptr;                           // [m], of a transposed A
  void* b_sums = nullptr;                           // [n], of a B that is not transposed
  bool accumulate_sums = false;                     // add the sums to what is there
  void* pre_gelu = nullptr;                         // U as a second result, laid out like C, which has no gaps: ldc = n
  const void* dgelu_at = nullptr;                   // U on the way back
  DType dtype = DType::f32;                         // of A: f32 or f64 on the CPU, f32 or bf16 on CUDA
  DType b_dtype = dtype;  // of B: the same; on the CPU also bf16 or f16 with f32 (widened as they are read)
  DType c_dtype = dtype;  // of C: the same, or f32 where A and B are bf16
};

inline Kernel<Gemm> gemm{"gemm"};

// What the factors of an f32 product are rounded to on CUDA. tf32 has 11 bits for the mantissa and is several times as
// fast; sums are f32 in either. A setting of the run, made before its first product.
enum class MatmulPrecision : uint8_t { f32, tf32 };
inline MatmulPrecision matmul_precision = MatmulPrecision::f32;

// For the log: the library's version, and a line for each kind of product so far with the algorithm that was chosen
// for it, once. A slot of the device; null where there is nothing to choose.
inline std::vector<std::string> (*gemm_plans)() = nullptr;

}  // namespace hinoki::kernels
