// CPU kernel of the sum over rows.
#include "kernels/column_sum.h"

#include "kernels/cpu/partials.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

template <class T>
void add_row(const T* x, T* sums, int64_t n) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) sums[c] += x[c];
}

// Four rows at a time, so that the sums are read and written once for each four reads of x.
template <class T>
void add_four_rows(const T* x, int64_t stride, T* sums, int64_t n) {
  const T *second = x + stride, *third = second + stride, *fourth = third + stride;
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) sums[c] = (((sums[c] + x[c]) + second[c]) + third[c]) + fourth[c];
}

const bool ready = column_sum.provide(kTarget, [](const ColumnSum& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    const auto partials = sum_in_blocks<T>(k.rows, k.cols, [&](int64_t begin, int64_t end, T* sums) {
      const T* const x = static_cast<const T*>(k.x);
      int64_t r = begin;
      for (; r + 4 <= end; r += 4) add_four_rows(x + r * k.stride, k.stride, sums, k.cols);
      for (; r < end; ++r) add_row(x + r * k.stride, sums, k.cols);
    });
    finish(partials, 0, k.cols, k.sum, k.accumulate);
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
