// CUDA kernels of weighted sums of squares. Bound by memory: forward reads x once, backward reads it and writes as
// much; 85 % of the copy bandwidth is expected. Squares are exact in f64, as in norm.cu.
#include "kernels/cuda/grid.h"
#include "kernels/cuda/reduce.h"
#include "kernels/weighted_squares.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / simt::kWarp;

// A block for each block of rows; its warps take the rows in turn.
template <int W, class T>
__global__ void __launch_bounds__(kThreads)
    sum_squares(const T* x, const float* weights, double* sums, int64_t rows, int64_t cols) {
  const int64_t first = int64_t(blockIdx.x) * kSquaresRows, end = min(first + kSquaresRows, rows);
  double sum = 0;
  for (int64_t row = first + warp_of_block(); row < end; row += kWarps) {
    const float weight = weights[row];
    if (weight == 0) continue;
    double squares = 0;
#pragma unroll 4
    for (int64_t c = lane_of_warp() * W; c < cols; c += simt::kWarp * W) {
      float v[W];
      load_wide<W>(v, x + row * cols + c);
#pragma unroll
      for (int i = 0; i < W; ++i) squares += double(v[i]) * double(v[i]);
    }
    sum += double(weight) * squares;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <int W, class T>
__global__ void __launch_bounds__(kThreads)
    multiply_rows(const T* x, const float* weights, double dy, T* dx, int64_t rows, int64_t cols) {
  const int64_t first = int64_t(blockIdx.x) * kSquaresRows, end = min(first + kSquaresRows, rows);
  for (int64_t row = first + warp_of_block(); row < end; row += kWarps) {
    const float weight = weights[row], factor = float(2 * dy * double(weight));
#pragma unroll 4
    for (int64_t c = lane_of_warp() * W; c < cols; c += simt::kWarp * W) {
      float v[W] = {};
      if (weight != 0) load_wide<W>(v, x + row * cols + c);
#pragma unroll
      for (int i = 0; i < W; ++i) v[i] *= factor;
      store_narrow<W>(dx + row * cols + c, v);
    }
  }
}

const bool ready = weighted_squares.provide(Device::cuda, [](const WeightedSquares& k, Stream s) {
  visit_cuda_float("weighted_squares", k.dtype, [&]<class T>() {
    const auto* x = static_cast<const T*>(k.x);
    const auto kernel = vector_aligned(x, k.cols) ? sum_squares<kVector<T>, T> : sum_squares<1, T>;
    simt::launch(kernel, blocks_for(k.rows, kSquaresRows), kThreads, 0, s, x, k.weights, k.sums, k.rows, k.cols);
  });
}) && weighted_squares_grad.provide(Device::cuda, [](const WeightedSquaresGrad& k, Stream s) {
  visit_cuda_float("weighted_squares_grad", k.dtype, [&]<class T>() {
    const auto* x = static_cast<const T*>(k.x);
    auto* dx = static_cast<T*>(k.dx);
    const bool vectors = vector_aligned(x, k.cols) && vector_aligned(dx);
    simt::launch(vectors ? multiply_rows<kVector<T>, T> : multiply_rows<1, T>, blocks_for(k.rows, kSquaresRows),
                 kThreads, 0, s, x, k.weights, k.dy, dx, k.rows, k.cols);
  });
});

}  // namespace
}  // namespace hinoki::kernels
