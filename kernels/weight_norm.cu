// CUDA kernels of weight normalization. Sums over rows in tiles (kernels/cuda/column_sums.h), then one pass that
// scales. Bound by memory: forward reads v twice and writes w; backward reads dw and v twice and writes dv. 80 % of the
// copy bandwidth is expected of long weights; the one of HuBERT's positional convolution takes some 20 us.
#include "kernels/cuda/column_sums.h"
#include "kernels/weight_norm.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256;

// partials[tile][c] = sum over the rows of a tile of a b
template <int W, class A, class B>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    product_tiles(const A* a, const B* b, float* partials, int64_t rows, int64_t cols) {
  const Tile tile = tile_here<W>(rows, cols);
  float sums[W] = {};
  for (int64_t row = tile.row; row < tile.rows_end && tile.column < cols; row += kTileWarps) {
    float x[W], y[W];
    load_wide<W>(x, a + row * cols + tile.column);
    load_wide<W>(y, b + row * cols + tile.column);
#pragma unroll
    for (int i = 0; i < W; ++i) sums[i] += x[i] * y[i];
  }
  store_tile_sums<W>(sums, partials, cols);
}

// norms and the factors of w = v factor, from the sums of squares
template <class T>
__global__ void __launch_bounds__(kThreads) column_norms(const T* g, float* norms, float* factors, int64_t cols) {
  const int64_t c = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (c >= cols) return;
  const float norm = sqrtf(norms[c]);
  norms[c] = norm;
  factors[c] = widen(g[c]) / norm;
}

template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    scale_tiles(const T* v, const float* factors, T* w, int64_t rows, int64_t cols) {
  const Tile tile = tile_here<W>(rows, cols);
  if (tile.column >= cols) return;
  float factor[W];
#pragma unroll
  for (int i = 0; i < W; ++i) factor[i] = factors[tile.column + i];
  for (int64_t row = tile.row; row < tile.rows_end; row += kTileWarps) {
    float x[W];
    load_wide<W>(x, v + row * cols + tile.column);
#pragma unroll
    for (int i = 0; i < W; ++i) x[i] *= factor[i];
    store_narrow<W>(w + row * cols + tile.column, x);
  }
}

// dg, and the factors of dv = dw a - v b, from sums[c] = sum of dw v; a takes the place of the sums, b lies behind.
template <class T>
__global__ void __launch_bounds__(kThreads)
    column_factors(const T* g, const float* norms, float* sums, float* dg, bool accumulate, int64_t cols) {
  const int64_t c = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (c >= cols) return;
  const float norm = norms[c], d = sums[c] / norm, a = widen(g[c]) / norm;
  if (dg) dg[c] = accumulate ? dg[c] + d : d;
  sums[c] = a;
  sums[cols + c] = a * d / norm;
}

template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    gradient_tiles(const float* dw, const T* v, const float* factors, float* dv, bool accumulate, int64_t rows,
                   int64_t cols) {
  const Tile tile = tile_here<W>(rows, cols);
  if (tile.column >= cols) return;
  float a[W], b[W];
#pragma unroll
  for (int i = 0; i < W; ++i) a[i] = factors[tile.column + i], b[i] = factors[cols + tile.column + i];
  for (int64_t row = tile.row; row < tile.rows_end; row += kTileWarps) {
    const int64_t at = row * cols + tile.column;
    float x[W], d[W], before[W] = {};
    load_wide<W>(d, dw + at);
    load_wide<W>(x, v + at);
    if (accumulate) load_wide<W>(before, dv + at);
#pragma unroll
    for (int i = 0; i < W; ++i) d[i] = before[i] + (d[i] * a[i] - x[i] * b[i]);
    store_narrow<W>(dv + at, d);
  }
}

// Partial sums of the tiles, and two rows of columns behind them.
float* room_for(int64_t rows, int64_t cols, Stream stream) {
  return cuda_scratch<float>(stream, size_t((row_tiles(rows) + 2) * cols));
}

template <int W, class T>
void forward(const WeightNorm& k, Stream stream) {
  const T *const v = static_cast<const T*>(k.v), *const g = static_cast<const T*>(k.g);
  float *const partials = room_for(k.rows, k.cols, stream), *const factors = partials + row_tiles(k.rows) * k.cols;
  const dim3 grid = tile_grid<W>(k.rows, k.cols);
  simt::launch(product_tiles<W, T, T>, grid, tile_block(), 0, stream, v, v, partials, k.rows, k.cols);
  finish_column_sums(partials, k.norms, k.rows, k.cols, false, stream);
  simt::launch(column_norms<T>, blocks_for(k.cols, kThreads), kThreads, 0, stream, g, static_cast<float*>(k.norms),
               factors, k.cols);
  simt::launch(scale_tiles<W, T>, grid, tile_block(), 0, stream, v, factors, static_cast<T*>(k.w), k.rows, k.cols);
}

template <int W, class T>
void backward(const WeightNormGrad& k, Stream stream) {
  const T* const v = static_cast<const T*>(k.v);
  const float *const dw = static_cast<const float*>(k.dw), *const norms = static_cast<const float*>(k.norms);
  float *const partials = room_for(k.rows, k.cols, stream), *const sums = partials + row_tiles(k.rows) * k.cols;
  const dim3 grid = tile_grid<W>(k.rows, k.cols);
  simt::launch(product_tiles<W, float, T>, grid, tile_block(), 0, stream, dw, v, partials, k.rows, k.cols);
  finish_column_sums(partials, sums, k.rows, k.cols, false, stream);
  simt::launch(column_factors<T>, blocks_for(k.cols, kThreads), kThreads, 0, stream, static_cast<const T*>(k.g), norms,
               sums, static_cast<float*>(k.dg), k.accumulate_g, k.cols);
  if (k.dv)
    simt::launch(gradient_tiles<W, T>, grid, tile_block(), 0, stream, dw, v, sums, static_cast<float*>(k.dv),
                 k.accumulate_v, k.rows, k.cols);
}

const bool ready = weight_norm.provide(Device::cuda, [](const WeightNorm& k, Stream s) {
  visit_cuda_float("weight_norm", k.dtype, [&]<class T>() {
    const bool vectors =
        vector_aligned(static_cast<const T*>(k.v), k.cols) && vector_aligned(static_cast<const T*>(k.w));
    vectors ? forward<kVector<T>, T>(k, s) : forward<1, T>(k, s);
  });
}) && weight_norm_grad.provide(Device::cuda, [](const WeightNormGrad& k, Stream s) {
  visit_cuda_float("weight_norm_grad", k.dtype, [&]<class T>() {
    const bool vectors = vector_aligned(static_cast<const T*>(k.v), k.cols) &&
                         vector_aligned(static_cast<const float*>(k.dw)) &&
                         vector_aligned(static_cast<const float*>(k.dv));
    vectors ? backward<kVector<T>, T>(k, s) : backward<1, T>(k, s);
  });
});

}  // namespace
}  // namespace hinoki::kernels
