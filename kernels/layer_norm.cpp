// CPU kernels of layer normalization. A row is a few thousand values, so its second and third pass stay in L1 and
// memory is read and written once.
#include "kernels/layer_norm.h"

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/partials.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kRows = 16;  // of a task

template <class T>
[[gnu::flatten]] void add_rows(const T* x, const T* delta, const T* delta2, T* sum, int64_t n) {
  if (delta && delta2) {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) sum[c] = x[c] + delta[c] + delta2[c];
  } else {
    const T* const d = delta ? delta : delta2;
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) sum[c] = x[c] + d[c];
  }
}

// The variance takes its own pass because avg(s^2) - avg(s)^2 cancels when the mean is large against the deviation.
template <class T>
[[gnu::flatten]] void normalize(const T* s, const T* weight, const T* bias, T* y, T* mean_out, T* rstd_out, int64_t n,
                                T eps) {
  const T mean = sum_of<T>(n, [=](int64_t c) { return s[c]; }) / T(n);
  const T squares = sum_of<T>(n, [=](int64_t c) {
    const T d = s[c] - mean;
    return d * d;
  });
  const T rstd = 1 / sqrt(squares / T(n) + eps);
  if (bias) {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) y[c] = (s[c] - mean) * rstd * weight[c] + bias[c];
  } else {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) y[c] = (s[c] - mean) * rstd * weight[c];
  }
  *mean_out = mean;
  *rstd_out = rstd;
}

template <class T>
void forward(const LayerNorm& k) {
  const auto* x = static_cast<const T*>(k.x);
  const auto* delta = static_cast<const T*>(k.delta);
  const auto* delta2 = static_cast<const T*>(k.delta2);
  auto* sum = static_cast<T*>(k.sum);
  const auto at = [&](const T* array, int64_t row) { return array ? array + row * k.cols : nullptr; };
  parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* s = at(x, r);
      if (sum) {
        add_rows(s, at(delta, r), at(delta2, r), sum + r * k.cols, k.cols);
        s = at(sum, r);
      }
      normalize(s, static_cast<const T*>(k.weight), static_cast<const T*>(k.bias), static_cast<T*>(k.y) + r * k.cols,
                static_cast<T*>(k.mean) + r, static_cast<T*>(k.rstd) + r, k.cols, T(k.eps));
    }
  });
}

template <class T>
struct RowGrad {
  const T *dy, *s, *weight, *dsum;
  T mean, rstd;
  T *dx, *dweight, *dbias;
  int64_t n;
};

template <class T>
[[gnu::flatten]] void row_backward(const RowGrad<T>& row) {
  const auto [dy, s, weight, dsum, mean, rstd, dx, dweight, dbias, n] = row;
  const Two<T> sums = two_sums_of<T>(n, [=](int64_t c) {
    const T h = (s[c] - mean) * rstd, g = dy[c] * weight[c];
    dweight[c] += dy[c] * h;
    dbias[c] += dy[c];
    return Two<T>{g, g * h};
  });
  const T avg_g = sums.first / T(n), avg_gh = sums.second / T(n);
  if (dsum) {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c)
      dx[c] = rstd * (dy[c] * weight[c] - avg_g - (s[c] - mean) * rstd * avg_gh) + dsum[c];
  } else {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) dx[c] = rstd * (dy[c] * weight[c] - avg_g - (s[c] - mean) * rstd * avg_gh);
  }
}

template <class T>
void backward(const LayerNormGrad& k) {
  const auto* dsum = static_cast<const T*>(k.dsum);
  const auto partials = sum_in_blocks<T>(k.rows, 2 * k.cols, [&](int64_t begin, int64_t end, T* sums) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t at = r * k.cols;
      row_backward<T>({.dy = static_cast<const T*>(k.dy) + at,
                       .s = static_cast<const T*>(k.s) + at,
                       .weight = static_cast<const T*>(k.weight),
                       .dsum = dsum ? dsum + at : nullptr,
                       .mean = static_cast<const T*>(k.mean)[r],
                       .rstd = static_cast<const T*>(k.rstd)[r],
                       .dx = static_cast<T*>(k.dx) + at,
                       .dweight = sums,
                       .dbias = sums + k.cols,
                       .n = k.cols});
    }
  });
  finish(partials, 0, k.cols, k.dweight, k.accumulate);
  finish(partials, k.cols, k.cols, k.dbias, k.accumulate);
}

const bool ready = layer_norm.provide(kTarget, [](const LayerNorm& k, Stream) {
  require((k.delta || k.delta2) == (k.sum != nullptr), "layer_norm: a residual sum needs a delta and a place to go");
  visit_float(k.dtype, [&]<class T>() { forward<T>(k); });
}) && layer_norm_grad.provide(kTarget, [](const LayerNormGrad& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { backward<T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
