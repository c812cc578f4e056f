// CUDA kernel of the nearest centre. Bound by f32 multiply-adds, size x count of them a row: a block holds the scores
// of 128 rows with 64 centres in registers, and of all that passed only the largest. A thread has 8 x 4 scores and
// loads 12 numbers from shared memory for 32 multiply-adds; 50 % of the f32 peak is expected.
#include "kernels/cuda/grid.h"
#include "kernels/cuda/scratch.h"
#include "kernels/nearest.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256, kAcross = 16;  // threads side by side over the centres
constexpr int kRows = 128, kCentres = 64, kDepth = 16;
constexpr int kRowsEach = 8, kCentresEach = 4;

__global__ void __launch_bounds__(kThreads)
    start_scores(const float* centres, float* starts, int64_t count, int64_t size) {
  const int64_t j = int64_t{blockIdx.x} * kThreads + int(threadIdx.x);
  if (j >= count) return;
  double sum = 0;
  for (int64_t p = 0; p < size; ++p) sum += double(centres[j * size + p]) * double(centres[j * size + p]);
  starts[j] = float(-0.5 * sum);
}

// `tall` rows of 16 columns from column p of a matrix, transposed; zeros for what it does not have.
template <int tall>
__device__ void stage(float (&to)[kDepth][tall + 4], const float* from, int64_t first, int64_t rows, int64_t p,
                      int64_t size) {
#pragma unroll
  for (int e = int(threadIdx.x); e < tall * kDepth; e += kThreads) {
    const int row = e / kDepth, column = e % kDepth;
    const bool there = first + row < rows && p + column < size;
    to[column][row] = there ? from[(first + row) * size + p + column] : 0.0f;
  }
}

__global__ void __launch_bounds__(kThreads)
    find_nearest(const float* x, const float* centres, const float* starts, int32_t* labels, float* distances,
                 int64_t rows, int64_t count, int64_t size) {
  SHARED(xs, float[kDepth][kRows + 4]);
  SHARED(cs, float[kDepth][kCentres + 4]);
  const int across = int(threadIdx.x) % kAcross, down = int(threadIdx.x) / kAcross;
  const int64_t first = int64_t{blockIdx.x} * kRows;
  float best[kRowsEach], norm[kRowsEach];  // norms are summed beside the first centres
  int at[kRowsEach];
#pragma unroll
  for (int i = 0; i < kRowsEach; ++i) best[i] = -INFINITY, at[i] = 0, norm[i] = 0;
  for (int64_t c = 0; c < count; c += kCentres) {
    const int64_t mine = c + across * kCentresEach;
    float score[kRowsEach][kCentresEach];
#pragma unroll
    for (int j = 0; j < kCentresEach; ++j) {
      const float start = mine + j < count ? starts[mine + j] : -INFINITY;
#pragma unroll
      for (int i = 0; i < kRowsEach; ++i) score[i][j] = start;
    }
    for (int64_t p = 0; p < size; p += kDepth) {
      __syncthreads();  // the round before has read
      stage<kRows>(xs, x, first, rows, p, size);
      stage<kCentres>(cs, centres, c, count, p, size);
      __syncthreads();
#pragma unroll
      for (int d = 0; d < kDepth; ++d) {
        float a[kRowsEach], b[kCentresEach];
#pragma unroll
        for (int i = 0; i < kRowsEach; ++i) a[i] = xs[d][down * kRowsEach + i];
#pragma unroll
        for (int j = 0; j < kCentresEach; ++j) b[j] = cs[d][across * kCentresEach + j];
#pragma unroll
        for (int i = 0; i < kRowsEach; ++i) {
#pragma unroll
          for (int j = 0; j < kCentresEach; ++j) score[i][j] = fmaf(a[i], b[j], score[i][j]);
        }
        if (across == 0 && distances != nullptr && c == 0) {
#pragma unroll
          for (int i = 0; i < kRowsEach; ++i) norm[i] = fmaf(a[i], a[i], norm[i]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kRowsEach; ++i) {
#pragma unroll
      for (int j = 0; j < kCentresEach; ++j)
        if (score[i][j] > best[i]) best[i] = score[i][j], at[i] = int(mine + j);
    }
  }
#pragma unroll
  for (int i = 0; i < kRowsEach; ++i) {
#pragma unroll
    for (int d = kAcross / 2; d > 0; d /= 2) {
      const float other = __shfl_xor_sync(simt::kFullWarp, best[i], d);
      const int there = __shfl_xor_sync(simt::kFullWarp, at[i], d);
      if (other > best[i] || (other == best[i] && there < at[i])) best[i] = other, at[i] = there;
    }
    const int64_t row = first + down * kRowsEach + i;
    if (across != 0 || row >= rows) continue;
    labels[row] = at[i];
    if (distances != nullptr) distances[row] = fmaxf(0.0f, norm[i] - 2 * best[i]);
  }
}

const bool ready = nearest.provide(Device::cuda, [](const Nearest& k, Stream stream) {
  require(k.count >= 1 && k.count <= 0x7fffffff, "nearest: of ", k.count, " centres");
  const unsigned blocks = blocks_for(k.rows, kRows);
  if (blocks == 0) return;
  float* const starts = cuda_scratch<float>(stream, size_t(k.count));
  simt::launch(start_scores, blocks_for(k.count, kThreads), kThreads, 0, stream, k.centres, starts, k.count, k.size);
  simt::launch(find_nearest, blocks, kThreads, 0, stream, k.x, k.centres, starts, k.labels, k.distances, k.rows,
               k.count, k.size);
});

}  // namespace
}  // namespace hinoki::kernels
