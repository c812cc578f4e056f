// CPU kernel of the cross entropy of a softmax. A row of 32,000 logits stays in L2 while it is read three times.
#include "kernels/softmax_loss.h"

#include <cstring>

#include "core/base/parallel.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

template <class T>
[[gnu::flatten]] T largest(const T* x, int64_t n) {
  return max_of<T>(n, [=](int64_t i) { return x[i]; });
}

template <class T>
[[gnu::flatten]] T sum_of_exponentials(const T* x, T max, int64_t n) {
  return sum_of<T>(n, [=](int64_t i) { return exp_not_positive(x[i] - max); });
}

// The same, and x becomes its exponential.
template <class T>
[[gnu::flatten]] T exponentiate(T* x, T max, int64_t n) {
  return sum_of<T>(n, [=](int64_t i) {
    const T e = exp_not_positive(x[i] - max);
    x[i] = e;
    return e;
  });
}

// Nats of the softmax. A logit of -inf adds nothing, though 0 * inf is NaN.
template <class T>
[[gnu::flatten]] double entropy(const T* x, T max, int64_t n) {
  const Two<T> sums = two_sums_of<T>(n, [=](int64_t i) {
    const T below = x[i] - max, e = exp_not_positive(below);
    return Two<T>{e, e * (below > T(-1000) ? below : T(-1000))};
  });
  return __builtin_log(double(sums.first)) - double(sums.second) / double(sums.first);
}

template <class T>
void multiply(T* x, T factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

template <class T>
int32_t first_equal(const T* x, T value, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (x[i] == value) return int32_t(i);
  return 0;  // all are NaN
}

template <class T>
void row(const SoftmaxLoss& k, int64_t r) {
  T* const x = static_cast<T*>(k.logits) + r * k.vocabulary;
  const int32_t label = k.labels[r];
  const bool ignored = label == kIgnoredLabel;
  const T max = ignored && !k.best ? T(0) : largest(x, k.vocabulary);
  if (k.best) k.best[r] = first_equal(x, max, k.vocabulary);
  if (ignored) {
    k.loss[r] = 0;
    if (k.entropy) k.entropy[r] = 0;
    if (k.gradient) std::memset(x, 0, size_t(k.vocabulary) * sizeof(T));
    return;
  }
  const double distance = double(max) - double(x[label]);
  if (k.entropy) k.entropy[r] = entropy(x, max, k.vocabulary);
  const T sum = k.gradient ? exponentiate(x, max, k.vocabulary) : sum_of_exponentials(x, max, k.vocabulary);
  k.loss[r] = distance + __builtin_log(double(sum));
  if (!k.gradient) return;
  const double scale = k.weights ? k.scale * k.weights[r] : k.scale;
  multiply(x, T(scale / double(sum)), k.vocabulary);
  x[label] -= T(scale);
}

const bool ready = softmax_loss.provide(kTarget, [](const SoftmaxLoss& k, Stream) {
  for (int64_t r = 0; r < k.rows; ++r)
    if (k.labels[r] != kIgnoredLabel && (k.labels[r] < 0 || k.labels[r] >= k.vocabulary))
      fail<Exit::data>(label_not_in_vocabulary(k.labels[r], k.first_row + r, k.vocabulary));
  visit_float(k.dtype, [&]<class T>() { parallel(k.rows, [&](int64_t r) { row<T>(k, r); }); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
