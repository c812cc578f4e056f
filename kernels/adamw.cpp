// CPU kernel of AdamW. Four arrays are read and three written back: 28 bytes for each f32 weight, and memory is the
// limit. What is written was just read, so its cache lines are there: non-temporal stores would save nothing.
#include "kernels/adamw.h"

#include "core/base/half.h"
#include "core/base/parallel.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 16384;  // elements of a task

template <class T>
struct Factors {
  T gradient, keep, beta1_rest, beta2, beta2_rest, rate, root, eps;
};

template <class T>
Factors<T> factors_of(const AdamW& k) {
  const double correction1 = 1 - __builtin_pow(k.beta1, double(k.step));
  const double correction2 = 1 - __builtin_pow(k.beta2, double(k.step));
  return {.gradient = T(k.gradient_scale),
          .keep = T(1 - k.lr * k.weight_decay),
          .beta1_rest = T(1 - k.beta1),
          .beta2 = T(k.beta2),
          .beta2_rest = T(1 - k.beta2),
          .rate = T(k.lr / correction1),
          .root = T(1 / __builtin_sqrt(correction2)),
          .eps = T(k.eps)};
}

template <class T>
void update(const Factors<T>& f, T* __restrict weight, const T* __restrict gradient, T* __restrict m, T* __restrict v,
            int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T d = f.gradient * gradient[i];
    m[i] = m[i] + f.beta1_rest * (d - m[i]);
    v[i] = f.beta2 * v[i] + f.beta2_rest * (d * d);
    weight[i] = f.keep * weight[i] - f.rate * m[i] / (sqrt(v[i]) * f.root + f.eps);
  }
}

const bool ready = adamw.provide(kTarget, [](const AdamW& k, Stream) {
  require(k.step >= 1, "adamw: steps count from 1, this is ", k.step);
  visit_float(k.dtype, [&]<class T>() {
    const Factors<T> f = factors_of<T>(k);
    parallel_blocks(k.count, kBlock, [&](int64_t begin, int64_t end) {
      update(f, static_cast<T*>(k.weight) + begin, static_cast<const T*>(k.gradient) + begin,
             static_cast<T*>(k.m) + begin, static_cast<T*>(k.v) + begin, end - begin);
      if (k.copy) {
        for (int64_t i = begin; i < end; ++i)
          static_cast<bf16*>(k.copy)[i] = to_bf16(float(static_cast<const T*>(k.weight)[i]));
      }
    });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
