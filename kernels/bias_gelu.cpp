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

template <class F, class T>
[[gnu::flatten]] void row_backward(const T* dy, const T* x, const T* bias, T* dx, T* dbias, int64_t n) {
  if (bias) {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const T d = dy[c] * F::at(x[c] + bias[c]).slope;
      dx[c] = d;
      dbias[c] += d;
    }
  } else {
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const T d = dy[c] * F::at(x[c]).slope;
      dx[c] = d;
      dbias[c] += d;
    }
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
  const auto partials = sum_in_blocks<T>(k.rows, k.cols, [&](int64_t begin, int64_t end, T* sums) {
    for (int64_t r = begin; r < end; ++r)
      row_backward<F>(static_cast<const T*>(k.dy) + r * k.cols, static_cast<const T*>(k.x) + r * k.cols,
                      static_cast<const T*>(k.bias), static_cast<T*>(k.dx) + r * k.cols, sums, k.cols);
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
