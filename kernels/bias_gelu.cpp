// CPU kernels of GELU after a bias.
#include "kernels/bias_gelu.h"

#include "kernels/cpu/math.h"
#include "kernels/cpu/partials.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kRows = 8;  // of a task

struct Exact {
  template <class T>
  static ValueAndSlope<T> at(T x) {
    return gelu(x);
  }
};
struct Approximate {
  template <class T>
  static ValueAndSlope<T> at(T x) {
    return gelu_tanh(x);
  }
};

template <class F, class T>
[[gnu::flatten]] void row_forward(const T* x, const T* bias, T* y, int64_t n) {
  if (bias) {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) y[c] = F::at(x[c] + bias[c]).value;
  } else {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) y[c] = F::at(x[c]).value;
  }
}

template <class T>
struct Row {
  const T *dy, *x, *bias;
  T *dx, *y, *dbias;
  int64_t size;
};

template <class F, bool kBiased, bool kAgain, class T>
[[gnu::flatten]] void row_backward(const Row<T>& row) {
  const auto [dy, x, bias, dx, y, dbias, n] = row;
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) {
    const auto gelu = F::at(kBiased ? x[c] + bias[c] : x[c]);
    const T d = dy[c] * gelu.slope;
    dx[c] = d;
    dbias[c] += d;
    if constexpr (kAgain) y[c] = gelu.value;
  }
}

template <class F, class T>
void forward(const BiasGelu& k) {
  parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      row_forward<F>(static_cast<const T*>(k.x) + r * k.cols, static_cast<const T*>(k.bias),
                     static_cast<T*>(k.y) + r * k.cols, k.cols);
  });
}

template <class F, class T>
void backward(const BiasGeluGrad& k) {
  const auto one_row = k.bias ? (k.y ? row_backward<F, true, true, T> : row_backward<F, true, false, T>)
                              : (k.y ? row_backward<F, false, true, T> : row_backward<F, false, false, T>);
  const auto partials = sum_in_blocks<T>(k.rows, k.cols, [&](int64_t begin, int64_t end, T* sums) {
    for (int64_t r = begin; r < end; ++r)
      one_row({.dy = static_cast<const T*>(k.dy) + r * k.cols,
               .x = static_cast<const T*>(k.x) + r * k.cols,
               .bias = static_cast<const T*>(k.bias),
               .dx = static_cast<T*>(k.dx) + r * k.cols,
               .y = k.y ? static_cast<T*>(k.y) + r * k.cols : nullptr,
               .dbias = sums,
               .size = k.cols});
  });
  finish(partials, 0, k.cols, k.dbias, k.accumulate);
}

const bool ready = bias_gelu.provide(kTarget, [](const BiasGelu& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { k.form == GeluForm::erf ? forward<Exact, T>(k) : forward<Approximate, T>(k); });
}) && bias_gelu_grad.provide(kTarget, [](const BiasGeluGrad& k, Stream) {
  visit_float(k.dtype,
              [&]<class T>() { k.form == GeluForm::erf ? backward<Exact, T>(k) : backward<Approximate, T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
