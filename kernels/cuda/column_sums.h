// Sums over the rows of a matrix in two passes: blocks sum tiles of 64 rows, a second kernel adds the tiles in order.
// The tiles depend on the number of rows alone and so do the bits of the result.
#pragma once
#include "kernels/cuda/grid.h"
#include "kernels/cuda/scratch.h"

namespace hinoki::kernels {

constexpr int kTileLanes = 32, kTileWarps = 8;  // threads of a block; each owns W columns of every eighth row
constexpr int64_t kTileRows = 64;

constexpr int64_t row_tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
template <int W>
constexpr int64_t column_tiles(int64_t cols) {
  return (cols + kTileLanes * W - 1) / (kTileLanes * W);
}
template <int W>
dim3 tile_grid(int64_t rows, int64_t cols) {
  return blocks_for(row_tiles(rows) * column_tiles<W>(cols), 1);
}
inline dim3 tile_block() { return dim3(kTileLanes, kTileWarps); }

// Where a thread of such a grid works: its W columns, and the rows [row, rows_end) in steps of kTileWarps.
struct Tile {
  int64_t index, column, row, rows_end;
};
template <int W>
__device__ Tile tile_here(int64_t rows, int64_t cols) {
  const unsigned across = unsigned(column_tiles<W>(cols)), index = blockIdx.x / across;
  const int64_t first = index * kTileRows, column = int64_t(blockIdx.x % across) * (kTileLanes * W);
  return {int64_t(index), column + threadIdx.x * W, first + threadIdx.y,
          first + kTileRows < rows ? first + kTileRows : rows};
}

// partials[tile, column] = the sum of all warps' sums, in the order of the warps. All threads of the block must call.
template <int W>
__device__ void store_tile_sums(const float (&sums)[W], float* partials, int64_t cols) {
  constexpr int kColumns = kTileLanes * W;
  SHARED(of_warp, float[kTileWarps][kColumns + W]);  // column c is kept at c + c / 32: no bank conflicts
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const int c = int(threadIdx.x) * W + i;
    of_warp[threadIdx.y][c + c / 32] = sums[i];
  }
  __syncthreads();
  const unsigned across = unsigned(column_tiles<W>(cols)), tile = blockIdx.x / across;
  for (int c = int(threadIdx.y) * kTileLanes + int(threadIdx.x); c < kColumns; c += kTileLanes * kTileWarps) {
    const int64_t column = int64_t(blockIdx.x % across) * kColumns + c;
    if (column >= cols) break;
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) sum += of_warp[w][c + c / 32];
    partials[tile * cols + column] = sum;
  }
}

constexpr int kAddLanes = 32, kAddWarps = 16;

// out[c] (+)= the sum over tiles of partials[tile, c]. A template so that every file that includes it may define it.
template <int kWarps>
__global__ void __launch_bounds__(kAddLanes* kWarps)
    add_tiles(const float* partials, float* out, int64_t tiles, int64_t cols, bool accumulate) {
  SHARED(of_warp, float[kWarps][kAddLanes]);
  const int64_t column = int64_t(blockIdx.x) * kAddLanes + threadIdx.x;
  float sum = 0;
  if (column < cols) {
#pragma unroll 8
    for (int64_t tile = threadIdx.y; tile < tiles; tile += kWarps) sum += partials[tile * cols + column];
  }
  of_warp[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= cols) return;
  float total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) total += of_warp[w][threadIdx.x];
  out[column] = accumulate ? out[column] + total : total;
}

// Scratch for the partial sums of a tile_grid.
inline float* tile_partials(int64_t rows, int64_t cols, Stream stream) {
  return rows > 0 && cols > 0 ? cuda_scratch<float>(stream, size_t(row_tiles(rows) * cols)) : nullptr;
}
inline void finish_column_sums(const float* partials, void* out, int64_t rows, int64_t cols, bool accumulate,
                               Stream stream) {
  simt::launch(add_tiles<kAddWarps>, blocks_for(cols, kAddLanes), dim3(kAddLanes, kAddWarps), 0, stream, partials,
               static_cast<float*>(out), row_tiles(rows), cols, accumulate);
}

}  // namespace hinoki::kernels
