// The sums of a product's operands by a kernel of their own, wherever the product itself does not make them.
#pragma once
#include "kernels/column_sum.h"
#include "kernels/gemm.h"

namespace hinoki::kernels {

inline void sum_a(const Gemm& g, Device device, Stream stream) {
  column_sum.run(device, stream,
                 {.x = g.a,
                  .sum = g.a_sums,
                  .accumulate = g.accumulate_sums,
                  .rows = g.k,
                  .cols = g.m,
                  .stride = g.lda,
                  .dtype = g.dtype});
}

inline void sum_b(const Gemm& g, Device device, Stream stream) {
  column_sum.run(device, stream,
                 {.x = g.b,
                  .sum = g.b_sums,
                  .accumulate = g.accumulate_sums,
                  .rows = g.k,
                  .cols = g.n,
                  .stride = g.ldb,
                  .dtype = g.b_dtype});
}

}  // namespace hinoki::kernels
