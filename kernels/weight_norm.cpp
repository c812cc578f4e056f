// CPU kernels of weight normalization.
#include "kernels/weight_norm.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/partials.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int kSumsSlot = 5;
constexpr int64_t kRows = 64;  // of a task

template <class T>
[[gnu::flatten]] void add_products(const T* a, const T* b, T* sums, int64_t n) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) sums[c] += a[c] * b[c];
}

// sums[c] = sum over rows of a b
template <class T>
void column_products(const T* a, const T* b, int64_t rows, int64_t cols, T* sums) {
  const auto partials = sum_in_blocks<T>(rows, cols, [&](int64_t begin, int64_t end, T* to) {
    for (int64_t r = begin; r < end; ++r) add_products(a + r * cols, b + r * cols, to, cols);
  });
  finish(partials, 0, cols, sums, false);
}

template <class T>
[[gnu::flatten]] void scale_rows(const T* v, const T* factors, T* w, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) w[r * n + c] = v[r * n + c] * factors[c];
}

template <class T>
void forward(const WeightNorm& k) {
  const T *const v = static_cast<const T*>(k.v), *const g = static_cast<const T*>(k.g);
  T* const norms = static_cast<T*>(k.norms);
  T* const factors = scratch<T>(kSumsSlot, size_t(k.cols));
  column_products(v, v, k.rows, k.cols, norms);
  for (int64_t c = 0; c < k.cols; ++c) {
    norms[c] = sqrt(norms[c]);
    factors[c] = g[c] / norms[c];
  }
  parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
    scale_rows(v + begin * k.cols, factors, static_cast<T*>(k.w) + begin * k.cols, end - begin, k.cols);
  });
}

// dv (+)= dw a - v b
template <class T>
[[gnu::flatten]] void row_gradients(const T* dw, const T* v, const T* a, T* dv, int64_t rows, int64_t n, bool add) {
  const T* const b = a + n;
  for (int64_t r = 0; r < rows; ++r)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const T d = dw[r * n + c] * a[c] - v[r * n + c] * b[c];
      dv[r * n + c] = add ? dv[r * n + c] + d : d;
    }
}

template <class T>
void backward(const WeightNormGrad& k) {
  const T *const dw = static_cast<const T*>(k.dw), *const v = static_cast<const T*>(k.v);
  const T *const g = static_cast<const T*>(k.g), *const norms = static_cast<const T*>(k.norms);
  T* const factors = scratch<T>(kSumsSlot, size_t(2 * k.cols));
  column_products(dw, v, k.rows, k.cols, factors);
  T* const dg = static_cast<T*>(k.dg);
  for (int64_t c = 0; c < k.cols; ++c) {
    const T d = factors[c] / norms[c], a = g[c] / norms[c];
    if (dg) dg[c] = k.accumulate_g ? dg[c] + d : d;
    factors[c] = a;
    factors[k.cols + c] = a * d / norms[c];
  }
  if (k.dv == nullptr) return;
  parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
    row_gradients(dw + begin * k.cols, v + begin * k.cols, factors, static_cast<T*>(k.dv) + begin * k.cols, end - begin,
                  k.cols, k.accumulate_v);
  });
}

const bool ready = weight_norm.provide(kTarget, [](const WeightNorm& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { forward<T>(k); });
}) && weight_norm_grad.provide(kTarget, [](const WeightNormGrad& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { backward<T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
