// CUDA kernel of dropout. Bound by memory: 4 bytes an element in bf16, 6 with a residual, twice that in f32. Philox
// takes most of some 28 instructions an element, as many as an H200 has for bf16 in that time: 75 % of the copy
// bandwidth is expected, and 85 % with a residual.
#include <algorithm>

#include "kernels/cuda/grid.h"
#include "kernels/cuda/philox.h"
#include "kernels/dropout.h"

namespace hinoki::kernels {
namespace {

struct Mask {
  PhiloxKey key;
  uint32_t threshold;
  float factor;
};

// Pieces of W elements that start at a multiple of four of the global batch: 4 W / 4 random numbers, none wasted.
template <int W, class T>
__global__ void __launch_bounds__(kMapThreads)
    drop_vectors(const T* x, const T* residual, T* y, int64_t count, uint64_t first_four, Mask mask) {
  const int64_t piece = int64_t(blockIdx.x) * kMapThreads + threadIdx.x, begin = piece * W;
  if (begin >= count) return;
  const uint64_t four = first_four + uint64_t(piece) * (W / 4);
  if (begin + W <= count) {
    Raw<T, W> raw_x, raw_residual{};
    raw_x.load(x + begin);
    if (residual) raw_residual.load(residual + begin);
    float v[W], sum[W];
    raw_x.widen_to(v);
    raw_residual.widen_to(sum);
#pragma unroll
    for (int i = 0; i < W; i += 4) {
      uint32_t bits[4];
      philox(bits, mask.key, four + uint64_t(i / 4));
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[i + j] += bits[j] >= mask.threshold ? v[i + j] * mask.factor : 0.0f;
    }
    store_narrow<W>(y + begin, sum);
    return;
  }
  for (int64_t i = begin; i < count; ++i) {
    uint32_t bits[4];
    philox(bits, mask.key, four + uint64_t(i - begin) / 4);
    const float kept = bits[(i - begin) % 4] >= mask.threshold ? widen(x[i]) * mask.factor : 0.0f;
    y[i] = narrow<T>((residual ? widen(residual[i]) : 0.0f) + kept);
  }
}

// Any addresses and any first index: a thread does the elements, up to four, that share a random number.
template <class T>
__global__ void __launch_bounds__(kMapThreads)
    drop_fours(const T* x, const T* residual, T* y, int64_t count, int64_t first_index, Mask mask) {
  const int64_t four = first_index / 4 + int64_t(blockIdx.x) * kMapThreads + threadIdx.x;
  uint32_t bits[4];
  philox(bits, mask.key, uint64_t(four));
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int64_t i = four * 4 + j - first_index;
    if (i < 0 || i >= count) continue;
    const float kept = bits[j] >= mask.threshold ? widen(x[i]) * mask.factor : 0.0f;
    y[i] = narrow<T>((residual ? widen(residual[i]) : 0.0f) + kept);
  }
}

template <class T>
void run(const Dropout& k, Stream s) {
  const T *x = static_cast<const T*>(k.x), *residual = static_cast<const T*>(k.residual);
  T* const y = static_cast<T*>(k.y);
  const Mask mask{philox_key(k.key), uint32_t(std::min(k.p * 0x1p32, 4294967295.0)), float(1 / (1 - k.p))};
  constexpr int W = kVector<T>;
  if (k.first_index % 4 == 0 && vector_aligned(x) && vector_aligned(residual) && vector_aligned(y))
    simt::launch(drop_vectors<W, T>, blocks_for(k.count, W * kMapThreads), kMapThreads, 0, s, x, residual, y, k.count,
                 uint64_t(k.first_index / 4), mask);
  else
    simt::launch(drop_fours<T>, blocks_for(k.count > 0 ? k.count + 3 : 0, 4 * kMapThreads), kMapThreads, 0, s, x,
                 residual, y, k.count, k.first_index, mask);
}

const bool ready = dropout.provide(Device::cuda, [](const Dropout& k, Stream s) {
  require(0 <= k.p && k.p < 1, "dropout: probability ", k.p, " is not in [0, 1)");
  require(k.first_index >= 0, "dropout: first index ", k.first_index);
  visit_cuda_float("dropout", k.dtype, [&]<class T>() { run<T>(k, s); });
});

}  // namespace
}  // namespace hinoki::kernels
