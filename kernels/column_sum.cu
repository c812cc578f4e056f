// CUDA kernel of the sum over rows. Bound by memory: reads each element once, and writes and reads 1/16 of an f32 for
// it; 90 % of the copy bandwidth is expected.
#include "kernels/column_sum.h"
#include "kernels/cuda/column_sums.h"

namespace hinoki::kernels {
namespace {

template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    sum_tiles(const T* x, float* partials, int64_t rows, int64_t cols, int64_t stride) {
  constexpr int kUnroll = 4;
  const Tile tile = tile_here<W>(rows, cols);
  float sums[W] = {};
  for (int64_t row = tile.row; row < tile.rows_end && tile.column < cols; row += kUnroll * kTileWarps) {
    Raw<T, W> raw[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (row + u * kTileWarps < tile.rows_end) raw[u].load(x + (row + u * kTileWarps) * stride + tile.column);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (row + u * kTileWarps >= tile.rows_end) break;
      float v[W];
      raw[u].widen_to(v);
#pragma unroll
      for (int i = 0; i < W; ++i) sums[i] += v[i];
    }
  }
  store_tile_sums<W>(sums, partials, cols);
}

template <int W, class T>
void sum(const ColumnSum& k, Stream s) {
  float* const partials = tile_partials(k.rows, k.cols, s);
  simt::launch(sum_tiles<W, T>, tile_grid<W>(k.rows, k.cols), tile_block(), 0, s, static_cast<const T*>(k.x), partials,
               k.rows, k.cols, k.stride);
  finish_column_sums(partials, k.sum, k.rows, k.cols, k.accumulate, s);
}

const bool ready = column_sum.provide(Device::cuda, [](const ColumnSum& k, Stream s) {
  visit_cuda_float("column_sum", k.dtype, [&]<class T>() {
    const bool vectors = vector_aligned(static_cast<const T*>(k.x), k.stride) && k.cols % kVector<T> == 0;
    vectors ? sum<kVector<T>, T>(k, s) : sum<1, T>(k, s);
  });
});

}  // namespace
}  // namespace hinoki::kernels
