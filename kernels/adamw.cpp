// CPU kernel of AdamW. Four arrays are read and three written back: 28 bytes for each f32 weight, and memory is the
// limit. What is written was just read, so its cache lines are there: non-temporal stores would save nothing.
#include "kernels/adamw.h"

#include "core/base/half.h"
#include "core/base/parallel.h"
#include "kernels/cpu/math.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 16384;  // elements of a task

static_assert(kBlock % kDecayWord == 0);

template <class T>
void update(const AdamWFactors<T>& f, T keep, T* __restrict weight, const T* __restrict gradient, T* __restrict m,
            T* __restrict v, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T d = f.gradient * gradient[i];
    m[i] = m[i] + f.beta1_rest * (d - m[i]);
    v[i] = f.beta2 * v[i] + f.beta2_rest * (d * d);
    weight[i] = keep * weight[i] - f.rate * m[i] / (sqrt(v[i]) * f.root + f.eps);
  }
}

// Calls f(begin, end, decays) for the longest runs of one kind in a block.
template <class F>
void each_run(const uint32_t* decays, int64_t begin, int64_t end, F&& f) {
  const auto kind = [&](int64_t i) { return decays == nullptr || decays[i / kDecayWord] >> i / kDecayRun % 32 & 1; };
  for (int64_t from = begin, to; from < end; from = to) {
    for (to = decays ? from + kDecayRun : end; to < end && kind(to) == kind(from);) to += kDecayRun;
    f(from, std::min(to, end), kind(from));
  }
}

template <class T>
void round(const T* weight, bf16* copy, int64_t n) {
  for (int64_t i = 0; i < n; ++i) copy[i] = to_bf16(float(weight[i]));
}

const bool ready = adamw.provide(kTarget, [](const AdamW& k, Stream) {
  visit_float(k.dtype, [&]<class T>() {
    const AdamWFactors<T> f(k);
    parallel_blocks(k.count, kBlock, [&](int64_t begin, int64_t end) {
      T* const weight = static_cast<T*>(k.weight);
      each_run(k.decays, begin, end, [&](int64_t from, int64_t to, bool decays) {
        update(f, decays ? f.keep : T(1), weight + from, static_cast<const T*>(k.gradient) + from,
               static_cast<T*>(k.m) + from, static_cast<T*>(k.v) + from, to - from);
      });
      if (k.copy) round(weight + begin, static_cast<bf16*>(k.copy) + begin, end - begin);
    });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
