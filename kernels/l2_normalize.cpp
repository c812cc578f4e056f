// CPU kernels of rows of length one. A row stays in L1 between its passes: memory is read and written once.
#include "kernels/l2_normalize.h"

#include "core/base/parallel.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kRows = 32;  // of a task

template <class T>
[[gnu::flatten]] T normalize_row(const T* x, T* y, int64_t n, T eps) {
  const T length = sqrt(sum_of<T>(n, [=](int64_t c) { return x[c] * x[c]; }));
  const T inverse = 1 / (length < eps ? eps : length);  // NaN stays NaN
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) y[c] = x[c] * inverse;
  return inverse;
}

template <class T>
[[gnu::flatten]] void row_backward(const T* dy, const T* x, T* dx, int64_t n, T inverse, T eps) {
  // Below eps the length is a constant.
  const T along = inverse >= 1 / eps ? T(0) : sum_of<T>(n, [=](int64_t c) { return dy[c] * (x[c] * inverse); });
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) dx[c] = inverse * (dy[c] - x[c] * inverse * along);
}

const bool ready = l2_normalize.provide(kTarget, [](const L2Normalize& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        static_cast<T*>(k.inverse)[r] =
            normalize_row(static_cast<const T*>(k.x) + r * k.cols, static_cast<T*>(k.y) + r * k.cols, k.cols, T(k.eps));
    });
  });
}) && l2_normalize_grad.provide(kTarget, [](const L2NormalizeGrad& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        row_backward(static_cast<const T*>(k.dy) + r * k.cols, static_cast<const T*>(k.x) + r * k.cols,
                     static_cast<T*>(k.dx) + r * k.cols, k.cols, static_cast<const T*>(k.inverse)[r], T(k.eps));
    });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
