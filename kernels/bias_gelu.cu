// CUDA kernels of GELU after a bias, in tiles of 64 rows: a thread keeps the bias of its columns, and the sums that are
// the bias's gradient. Bound by memory: 4 bytes an element forward and 6 backward in bf16 (8 with the value again),
// twice that in f32; 85 % of the copy bandwidth is expected, where instructions (some 20 and 30 an element) nearly take
// as long.
#include "kernels/bias_gelu.h"
#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/functions.h"

namespace hinoki::kernels {
namespace {

template <int W, class T>
__device__ void load_bias(float (&b)[W], const T* bias, int64_t column, int64_t cols) {
  if (bias && column < cols) return load_wide(b, bias + column);
#pragma unroll
  for (int i = 0; i < W; ++i) b[i] = 0;
}

template <class Op, int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    forward_tiles(const T* x, const T* bias, T* y, int64_t rows, int64_t cols) {
  constexpr int kUnroll = 4;
  const Tile tile = tile_here<W>(rows, cols);
  float b[W];
  load_bias(b, bias, tile.column, cols);
  for (int64_t row = tile.row; row < tile.rows_end && tile.column < cols; row += kUnroll * kTileWarps) {
    Raw<T, W> raw[kUnroll];
    const int64_t at = row * cols + tile.column, step = kTileWarps * cols;
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (row + u * kTileWarps < tile.rows_end) raw[u].load(x + at + u * step);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (row + u * kTileWarps >= tile.rows_end) break;
      float v[W];
      raw[u].widen_to(v);
#pragma unroll
      for (int i = 0; i < W; ++i) v[i] = value(Op{}, v[i] + b[i]);
      store_narrow<W>(y + at + u * step, v);
    }
  }
}

template <class T>
struct Backward {
  const T *dy, *x, *bias;
  T *dx, *y;        // y null: not wanted
  float* partials;  // null: the bias's gradient is not wanted
  int64_t rows, cols;
};

// At least 4 blocks a multiprocessor: the compiler would take 74 registers where it needs no more than 64.
template <class Op, int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps, 4) backward_tiles(Backward<T> k) {
  constexpr int kUnroll = 2;
  const Tile tile = tile_here<W>(k.rows, k.cols);
  float b[W], sums[W] = {};
  load_bias(b, k.bias, tile.column, k.cols);
  for (int64_t row = tile.row; row < tile.rows_end && tile.column < k.cols; row += kUnroll * kTileWarps) {
    Raw<T, W> raw_dy[kUnroll], raw_x[kUnroll];
    const int64_t at = row * k.cols + tile.column, step = kTileWarps * k.cols;
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if (row + u * kTileWarps < tile.rows_end) {
        raw_dy[u].load(k.dy + at + u * step);
        raw_x[u].load(k.x + at + u * step);
      }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      if (row + u * kTileWarps >= tile.rows_end) break;
      float d[W], v[W];
      raw_dy[u].widen_to(d);
      raw_x[u].widen_to(v);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        const ValueAndSlope gelu = value_and_slope(Op{}, v[i] + b[i]);
        v[i] = gelu.value;
        d[i] *= gelu.slope;
        sums[i] += d[i];
      }
      store_narrow<W>(k.dx + at + u * step, d);
      if (k.y) store_narrow<W>(k.y + at + u * step, v);
    }
  }
  if (k.partials) store_tile_sums<W>(sums, k.partials, k.cols);
}

template <class Op, class T>
void forward(const BiasGelu& k, Stream s) {
  const T *x = static_cast<const T*>(k.x), *bias = static_cast<const T*>(k.bias);
  T* const y = static_cast<T*>(k.y);
  constexpr int W = kVector<T>;
  if (vector_aligned(x, k.cols) && vector_aligned(bias) && vector_aligned(y))
    simt::launch(forward_tiles<Op, W, T>, tile_grid<W>(k.rows, k.cols), tile_block(), 0, s, x, bias, y, k.rows, k.cols);
  else
    simt::launch(forward_tiles<Op, 1, T>, tile_grid<1>(k.rows, k.cols), tile_block(), 0, s, x, bias, y, k.rows, k.cols);
}

template <class Op, class T>
void backward(const BiasGeluGrad& k, Stream s) {
  const Backward<T> b{.dy = static_cast<const T*>(k.dy),
                      .x = static_cast<const T*>(k.x),
                      .bias = static_cast<const T*>(k.bias),
                      .dx = static_cast<T*>(k.dx),
                      .y = static_cast<T*>(k.y),
                      .partials = k.dbias ? tile_partials(k.rows, k.cols, s) : nullptr,
                      .rows = k.rows,
                      .cols = k.cols};
  constexpr int W = kVector<T>;
  if (vector_aligned(b.x, k.cols) && vector_aligned(b.dy) && vector_aligned(b.bias) && vector_aligned(b.dx) &&
      vector_aligned(b.y))
    simt::launch(backward_tiles<Op, W, T>, tile_grid<W>(k.rows, k.cols), tile_block(), 0, s, b);
  else
    simt::launch(backward_tiles<Op, 1, T>, tile_grid<1>(k.rows, k.cols), tile_block(), 0, s, b);
  if (k.dbias) finish_column_sums(b.partials, k.dbias, k.rows, k.cols, k.accumulate, s);
}

const bool ready = bias_gelu.provide(Device::cuda, [](const BiasGelu& k, Stream s) {
  visit_cuda_float("bias_gelu", k.dtype,
                   [&]<class T>() { k.form == GeluForm::erf ? forward<Gelu, T>(k, s) : forward<GeluTanh, T>(k, s); });
}) && bias_gelu_grad.provide(Device::cuda, [](const BiasGeluGrad& k, Stream s) {
  visit_cuda_float("bias_gelu_grad", k.dtype,
                   [&]<class T>() { k.form == GeluForm::erf ? backward<Gelu, T>(k, s) : backward<GeluTanh, T>(k, s); });
});

}  // namespace
}  // namespace hinoki::kernels
