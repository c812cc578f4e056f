// CPU kernels of weighted sums of squares.
#include "kernels/weighted_squares.h"

#include <cstring>

#include "core/base/parallel.h"
#include "kernels/cpu/lanes.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

template <class T>
[[gnu::flatten]] double square_sum(const T* x, int64_t n) {
  return sum_of<double>(n, [=](int64_t i) { return double(x[i]) * double(x[i]); });
}

template <class T>
void multiply_row(const T* x, T* y, int64_t n, T factor) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = factor * x[i];
}

const bool ready = weighted_squares.provide(kTarget, [](const WeightedSquares& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.rows, kSquaresRows, [&](int64_t begin, int64_t end) {
      double sum = 0;
      for (int64_t r = begin; r < end; ++r)
        if (k.weights[r] != 0)
          sum += double(k.weights[r]) * square_sum(static_cast<const T*>(k.x) + r * k.cols, k.cols);
      k.sums[begin / kSquaresRows] = sum;
    });
  });
}) && weighted_squares_grad.provide(kTarget, [](const WeightedSquaresGrad& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.rows, kSquaresRows, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        T* const dx = static_cast<T*>(k.dx) + r * k.cols;
        if (k.weights[r] == 0)
          std::memset(dx, 0, size_t(k.cols) * sizeof(T));
        else
          multiply_row(static_cast<const T*>(k.x) + r * k.cols, dx, k.cols, T(2 * k.dy * double(k.weights[r])));
      }
    });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
