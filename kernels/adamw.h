// The AdamW update (Loshchilov & Hutter 2019) over flat arrays, in one pass over memory.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

// With d = gradient_scale * gradient and t = step, in this order:
//   weight = weight - lr * weight_decay * weight
//   m = m + (1 - beta1) (d - m),  v = beta2 v + (1 - beta2) d^2
//   weight = weight - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
// Many parameters in one array take one pass: a bit for each 16 elements says whether they decay.
struct AdamW {
  void* weight;          // updated, as are m and v
  const void* gradient;  // a sum over the batch
  void *m, *v;
  int64_t count;
  double lr, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double gradient_scale = 1;  // 1 / count of the losses summed, times the factor that clips
  int64_t step;               // of the update, from 1
  DType dtype;                // of all arrays but the copy
  void* copy = nullptr;       // bf16 [count], the new weights rounded; null: not wanted
  // [ceil(count / 512)]: bit i / 16 % 32 of word i / 512 is 0 where element i has no weight decay; null: all have it
  const uint32_t* decays = nullptr;
};

constexpr int64_t kDecayRun = 16, kDecayWord = 32 * kDecayRun;  // elements of a bit, of a word

inline Kernel<AdamW> adamw{"adamw"};

// What a step's formulas hold that is the same for every element.
template <class T>
struct AdamWFactors {
  T gradient, keep, beta1_rest, beta2, beta2_rest, rate, root, eps;

  explicit AdamWFactors(const AdamW& k)
      : gradient(T(k.gradient_scale)),
        keep(T(1 - k.lr * k.weight_decay)),
        beta1_rest(T(1 - k.beta1)),
        beta2(T(k.beta2)),
        beta2_rest(T(1 - k.beta2)),
        rate(T(k.lr / (1 - __builtin_pow(k.beta1, double(k.step))))),
        root(T(1 / __builtin_sqrt(1 - __builtin_pow(k.beta2, double(k.step))))),
        eps(T(k.eps)) {
    require(k.step >= 1, "adamw: steps count from 1, this is ", k.step);
  }
};

}  // namespace hinoki::kernels
