// CUDA kernels of rows of length one: a warp for each row. Bound by memory: each array is read or written once (2
// forward, 3 backward); the second look at a row, of a few hundred elements, comes from L1. 85 % of the copy bandwidth
// is expected.
#include "kernels/cuda/grid.h"
#include "kernels/cuda/reduce.h"
#include "kernels/l2_normalize.h"

namespace hinoki::kernels {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * simt::kWarp;  // of a block; a row each

template <int W, class T>
__global__ void __launch_bounds__(kThreads)
    normalize_rows(const T* x, T* y, float* inverse, int64_t rows, int64_t cols, float eps) {
  const int64_t row = int64_t(blockIdx.x) * kWarps + warp_of_block();
  if (row >= rows) return;  // a whole warp
  x += row * cols, y += row * cols;
  float squares = 0;
#pragma unroll 4
  for (int64_t c = lane_of_warp() * W; c < cols; c += simt::kWarp * W) {
    float v[W];
    load_wide<W>(v, x + c);
#pragma unroll
    for (int i = 0; i < W; ++i) squares = fmaf(v[i], v[i], squares);
  }
  const float length = sqrtf(warp_sum(squares)), factor = 1 / (length < eps ? eps : length);  // NaN stays NaN
#pragma unroll 4
  for (int64_t c = lane_of_warp() * W; c < cols; c += simt::kWarp * W) {
    float v[W];
    load_wide<W>(v, x + c);
#pragma unroll
    for (int i = 0; i < W; ++i) v[i] *= factor;
    store_narrow<W>(y + c, v);
  }
  if (lane_of_warp() == 0) inverse[row] = factor;
}

template <int W, class T>
__global__ void __launch_bounds__(kThreads)
    normalize_rows_back(const T* dy, const T* x, const float* inverse, T* dx, int64_t rows, int64_t cols, float eps) {
  const int64_t row = int64_t(blockIdx.x) * kWarps + warp_of_block();
  if (row >= rows) return;
  dy += row * cols, x += row * cols, dx += row * cols;
  const float factor = inverse[row];
  float along = 0;
  if (!(factor >= 1 / eps)) {  // else the length is a constant
#pragma unroll 4
    for (int64_t c = lane_of_warp() * W; c < cols; c += simt::kWarp * W) {
      float g[W], v[W];
      load_wide<W>(g, dy + c);
      load_wide<W>(v, x + c);
#pragma unroll
      for (int i = 0; i < W; ++i) along = fmaf(g[i], v[i] * factor, along);
    }
  }
  along = warp_sum(along);
#pragma unroll 4
  for (int64_t c = lane_of_warp() * W; c < cols; c += simt::kWarp * W) {
    float g[W], v[W];
    load_wide<W>(g, dy + c);
    load_wide<W>(v, x + c);
#pragma unroll
    for (int i = 0; i < W; ++i) g[i] = factor * fmaf(-v[i] * factor, along, g[i]);
    store_narrow<W>(dx + c, g);
  }
}

const bool ready = l2_normalize.provide(Device::cuda, [](const L2Normalize& k, Stream s) {
  visit_cuda_float("l2_normalize", k.dtype, [&]<class T>() {
    const auto* x = static_cast<const T*>(k.x);
    auto* y = static_cast<T*>(k.y);
    const bool vectors = vector_aligned(x, k.cols) && vector_aligned(y);
    simt::launch(vectors ? normalize_rows<kVector<T>, T> : normalize_rows<1, T>, blocks_for(k.rows, kWarps), kThreads,
                 0, s, x, y, static_cast<float*>(k.inverse), k.rows, k.cols, float(k.eps));
  });
}) && l2_normalize_grad.provide(Device::cuda, [](const L2NormalizeGrad& k, Stream s) {
  visit_cuda_float("l2_normalize_grad", k.dtype, [&]<class T>() {
    const auto *dy = static_cast<const T*>(k.dy), *x = static_cast<const T*>(k.x);
    auto* dx = static_cast<T*>(k.dx);
    const bool vectors = vector_aligned(x, k.cols) && vector_aligned(dy) && vector_aligned(dx);
    simt::launch(vectors ? normalize_rows_back<kVector<T>, T> : normalize_rows_back<1, T>, blocks_for(k.rows, kWarps),
                 kThreads, 0, s, dy, x, static_cast<const float*>(k.inverse), dx, k.rows, k.cols, float(k.eps));
  });
});

}  // namespace
}  // namespace hinoki::kernels
