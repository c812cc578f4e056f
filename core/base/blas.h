// OpenBLAS as the compared alternative to our own f32 matrix product, loaded when it is first asked for.
// Its bits depend on the number of threads and of rows; ours do not.
#pragma once
#include <cstdint>
#include <string>

namespace hinoki {

enum class GemmLibrary : uint8_t { own, openblas };

GemmLibrary gemm_library();
// "own" or "openblas". Refuses, saying why, when OpenBLAS cannot be loaded.
void set_gemm_library(const std::string& name);

// Whose kernels OpenBLAS has chosen for this CPU, as it calls them; "unknown" where it cannot say. Refuses as above.
std::string openblas_core();

// C = op(A) op(B) + beta C on `threads` threads, row-major.
struct BlasProduct {
  const float *a, *b;
  float* c;
  int64_t m, n, k, lda, ldb, ldc;
  bool a_transposed;
  float beta;
  bool b_transposed;
  int threads;
};
void openblas_multiply(const BlasProduct& p);

}  // namespace hinoki
