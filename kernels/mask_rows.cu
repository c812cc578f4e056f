// CUDA kernels of masked rows. Bound by memory: forward reads the rows that stay and writes all; backward reads and
// writes all, or in place touches masked rows alone. 85 % of the copy bandwidth is expected.
#include "kernels/cuda/column_sums.h"
#include "kernels/mask_rows.h"

namespace hinoki::kernels {
namespace {

constexpr int kUnroll = 4;

template <int W, class T>
__global__ void __launch_bounds__(kMapThreads)
    replace_rows(const T* x, const int32_t* mask, const T* value, T* y, unsigned pieces, unsigned across) {
  const unsigned first = blockIdx.x * (kMapThreads * kUnroll) + threadIdx.x;
  Raw<T, W> raw[kUnroll];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u)
    if (const unsigned piece = first + u * kMapThreads; piece < pieces)
      raw[u].load(mask[piece / across] ? value + int64_t(piece % across) * W : x + int64_t(piece) * W);
#pragma unroll
  for (int u = 0; u < kUnroll; ++u)
    if (const unsigned piece = first + u * kMapThreads; piece < pieces) raw[u].store(y + int64_t(piece) * W);
}

template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    take_back_rows(const T* dy, const int32_t* mask, T* dx, float* partials, int64_t rows, int64_t cols) {
  const Tile tile = tile_here<W>(rows, cols);
  float sums[W] = {}, nothing[W] = {};
  for (int64_t row = tile.row; row < tile.rows_end && tile.column < cols; row += kUnroll * kTileWarps) {
    Raw<T, W> raw[kUnroll];
    bool masked[kUnroll] = {};
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t at = row + u * kTileWarps;
      if (at >= tile.rows_end) break;
      masked[u] = mask[at] != 0;
      if (masked[u] || dx != dy) raw[u].load(dy + at * cols + tile.column);
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int64_t at = row + u * kTileWarps;
      if (at >= tile.rows_end) break;
      if (masked[u]) {
        float v[W];
        raw[u].widen_to(v);
#pragma unroll
        for (int i = 0; i < W; ++i) sums[i] += v[i];
        store_narrow<W>(dx + at * cols + tile.column, nothing);
      } else if (dx != dy) {
        raw[u].store(dx + at * cols + tile.column);
      }
    }
  }
  store_tile_sums<W>(sums, partials, cols);
}

template <int W, class T>
void forward(const MaskRows& k, Stream s) {
  const int64_t across = k.cols / W, pieces = k.rows * across;
  require(pieces < int64_t{1} << 31, "mask_rows: ", k.rows, " rows of ", k.cols, " are too many for its CUDA kernel");
  simt::launch(replace_rows<W, T>, blocks_for(pieces, kMapThreads * kUnroll), kMapThreads, 0, s,
               static_cast<const T*>(k.x), k.mask, static_cast<const T*>(k.value), static_cast<T*>(k.y),
               unsigned(pieces), unsigned(across));
}

template <int W, class T>
void backward(const MaskRowsGrad& k, Stream s) {
  float* const partials = tile_partials(k.rows, k.cols, s);
  simt::launch(take_back_rows<W, T>, tile_grid<W>(k.rows, k.cols), tile_block(), 0, s, static_cast<const T*>(k.dy),
               k.mask, static_cast<T*>(k.dx), partials, k.rows, k.cols);
  if (k.dvalue) finish_column_sums(partials, k.dvalue, k.rows, k.cols, k.accumulate, s);
}

const bool ready = mask_rows.provide(Device::cuda, [](const MaskRows& k, Stream s) {
  visit_cuda_float("mask_rows", k.dtype, [&]<class T>() {
    const bool vectors = vector_aligned(static_cast<const T*>(k.x), k.cols) &&
                         vector_aligned(static_cast<const T*>(k.value)) && vector_aligned(static_cast<const T*>(k.y));
    vectors ? forward<kVector<T>, T>(k, s) : forward<1, T>(k, s);
  });
}) && mask_rows_grad.provide(Device::cuda, [](const MaskRowsGrad& k, Stream s) {
  visit_cuda_float("mask_rows_grad", k.dtype, [&]<class T>() {
    const bool vectors =
        vector_aligned(static_cast<const T*>(k.dy), k.cols) && vector_aligned(static_cast<const T*>(k.dx));
    vectors ? backward<kVector<T>, T>(k, s) : backward<1, T>(k, s);
  });
});

}  // namespace
}  // namespace hinoki::kernels
