// The forward pass of attention on tensor cores. A block takes 128 queries of one head, 32 to a warp, and passes over
// the keys in tiles of 32 to 64: scores, a running maximum and sum, then the sum of values, all in registers. The next
// tile of keys and values is copied while one is worked on; one barrier for each tile.
//
// 32 queries to a warp and not 16: then each fragment of keys or values that is read from shared memory feeds four
// products and not two, and reading no longer bounds the speed.
#pragma once
#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/shared_limit.h"

namespace hinoki::kernels {

template <int kDim, bool kDropout>
struct ForwardTile {
  // What the registers hold: 128 sums and 48 scores of a lane, or 64, 32 and what dropout needs.
  static constexpr bool kFull = kDim > 96;
  static constexpr int kAtoms = kFull && kDropout ? 1 : 2, kWarps = 8 / kAtoms, kBlocksPerSm = kAtoms;
  static constexpr int kKeys = kDropout ? 32 : kFull ? 48 : 64;
  static constexpr int kThreads = kWarps * 32, kWarpRows = kAtoms * 16, kQueries = kWarps * kWarpRows;
  static constexpr size_t kSharedBytes = (kQueries + 4 * kKeys) * kPitch<kDim> * sizeof(bf16);
  static constexpr size_t kStaticBytes = kQueries * sizeof(Span);
};

// Scores become probabilities relative to the largest so far; earlier sums are made relative to it.
template <int kDim, int kAtoms, int kBlocks>
__device__ __forceinline__ void update_softmax(float (&scores)[kAtoms][kBlocks][4], float (&most)[kAtoms][2],
                                               float (&total)[kAtoms][2], float (&sums)[kAtoms][kDim / 8][4],
                                               float to_log2) {
  float shift[kAtoms][2], correction[kAtoms][2];
  bool corrects = false;
#pragma unroll
  for (int m = 0; m < kAtoms; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float next = most[m][half];
#pragma unroll
      for (int n = 0; n < kBlocks; ++n) next = fmaxf(next, fmaxf(scores[m][n][half * 2], scores[m][n][half * 2 + 1]));
      next = fmaxf(next, __shfl_xor_sync(simt::kFullWarp, next, 1));
      next = fmaxf(next, __shfl_xor_sync(simt::kFullWarp, next, 2));
      // Rounded before anything is subtracted: a tile that changes nothing corrects by exactly 1.
      shift[m][half] = __fmul_rn(next == -INFINITY ? 0.f : next, to_log2);  // -infinity: no key seen yet
      correction[m][half] = exp2_approx(__fmul_rn(most[m][half], to_log2) - shift[m][half]);
      corrects |= next != most[m][half];
      most[m][half] = next;
    }
  // Most tiles hold no new maximum.
  if (__any_sync(simt::kFullWarp, corrects)) {
#pragma unroll
    for (int m = 0; m < kAtoms; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        total[m][half] *= correction[m][half];
#pragma unroll
        for (int d = 0; d < kDim / 8; ++d) {
          sums[m][d][half * 2] *= correction[m][half];
          sums[m][d][half * 2 + 1] *= correction[m][half];
        }
      }
  }
#pragma unroll
  for (int m = 0; m < kAtoms; ++m)
#pragma unroll
    for (int n = 0; n < kBlocks; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        total[m][e / 2] += scores[m][n][e] = exp2_approx(fmaf(scores[m][n][e], to_log2, -shift[m][e / 2]));
}

template <int kDim, bool kDropout>
__global__ void __launch_bounds__(ForwardTile<kDim, kDropout>::kThreads, ForwardTile<kDim, kDropout>::kBlocksPerSm)
    attention_forward(const Attention call, const SegmentBounds segments) {
  using Tile = ForwardTile<kDim, kDropout>;
  constexpr int kAtoms = Tile::kAtoms, kKeys = Tile::kKeys, kKeyTile = kKeys * kPitch<kDim>;
  DYNAMIC_SHARED(shared, bf16);
  const AttentionShape& g = call.shape;
  const int dim = int(g.dim), count = int(g.q_time), keys = int(g.kv_time), heads = int(g.heads);
  // The last queries see the most keys: they start first.
  const int blocks = (count + Tile::kQueries - 1) / Tile::kQueries, block = blocks - 1 - int(blockIdx.x) % blocks;
  const int head = int(blockIdx.x) / blocks % heads, batch = int(blockIdx.x) / blocks / heads;
  const int warp = int(threadIdx.x / 32), lane = int(threadIdx.x % 32);
  const int top = block * Tile::kQueries, row = top + warp * Tile::kWarpRows;

  const KeysOfQuery sees{segments.of(batch, keys), keys - count, count, g.causal};
  const int begin = sees(top).begin / kKeys * kKeys, end = sees(top + Tile::kQueries - 1).end;
  SHARED(spans, Span[Tile::kQueries]);
  if (threadIdx.x < Tile::kQueries) spans[threadIdx.x] = sees(top + int(threadIdx.x));
  const Span* const warp_spans = spans + warp * Tile::kWarpRows;
  const auto k = rows_of<bf16>(call.k, batch, head), v = rows_of<bf16>(call.v, batch, head);

  bf16 *const tiles = shared + Tile::kQueries * kPitch<kDim>, *const q_rows =
                                                                  shared + warp * Tile::kWarpRows * kPitch<kDim>;
  const auto copy_keys = [&](int column, int stage) {
    copy_tile<kKeys, kDim, Tile::kThreads>(tiles + stage * 2 * kKeyTile, k, column, keys, dim);
    copy_tile<kKeys, kDim, Tile::kThreads>(tiles + (stage * 2 + 1) * kKeyTile, v, column, keys, dim);
  };
  copy_tile<Tile::kQueries, kDim, Tile::kThreads>(shared, rows_of<bf16>(call.q, batch, head), top, count, dim);
  copy_keys(begin, 0);
  simt::cp_async_commit();

  const float to_log2 = float(g.scale) * kLog2E;
  float sums[kAtoms][kDim / 8][4] = {}, most[kAtoms][2], total[kAtoms][2];
#pragma unroll
  for (int m = 0; m < kAtoms; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) most[m][half] = -INFINITY, total[m][half] = 0;

  for (int column = begin, stage = 0; column < end; column += kKeys, stage ^= 1) {
    simt::cp_async_wait<0>();
    __syncthreads();  // all copies of this stage have arrived, and nobody reads the other one any more
    if (column + kKeys < end) copy_keys(column + kKeys, stage ^ 1);
    simt::cp_async_commit();
    if (row >= count || !sees_some<Tile::kWarpRows>(warp_spans, column, kKeys)) continue;

    Scores<kAtoms, kKeys> scores = {};
    multiply_across<kDim>(scores, q_rows, tiles + stage * 2 * kKeyTile);
    if (!sees_all<Tile::kWarpRows>(warp_spans, column, kKeys)) hide(scores, -INFINITY, warp_spans, column);
    update_softmax<kDim>(scores, most, total, sums, to_log2);
    if constexpr (kDropout) {
      const KeptScores dropout(g, batch, head);
#pragma unroll
      for (int m = 0; m < kAtoms; ++m) {
        const uint32_t kept = dropout.rows_are_queries<kKeys / 8>(keys - count + row + m * 16, column);
#pragma unroll
        for (int i = 0; i < kKeys / 2; ++i)
          if (!(kept >> i & 1)) scores[m][i / 4][i % 4] = 0;
      }
    }
    multiply_down<kDim>(sums, scores, tiles + (stage * 2 + 1) * kKeyTile);
  }

  if (row >= count) return;
  float* const lse = static_cast<float*>(call.lse);
#pragma unroll
  for (int m = 0; m < kAtoms; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = total[m][half];
      sum += __shfl_xor_sync(simt::kFullWarp, sum, 1);
      sum += __shfl_xor_sync(simt::kFullWarp, sum, 2);
      total[m][half] = (kDropout ? kept_scale(g) : 1.f) / sum;
      const int query = row + m * 16 + half * 8 + lane / 4;
      if (lse && lane % 4 == 0 && query < count)
        lse[(int64_t(batch) * heads + head) * count + query] = fmaf(most[m][half], to_log2, log2f(sum)) * kLn2;
    }
  store_rows<kDim>(rows_of<bf16>(call.out, batch, head), row, count, dim, sums, total, q_rows);
}

template <int kDim, bool kDropout>
void launch_attention_forward(const Attention& call, const SegmentBounds& segments, Stream stream) {
  using Tile = ForwardTile<kDim, kDropout>;
  const AttentionShape& g = call.shape;
  require_shared(Tile::kSharedBytes + Tile::kStaticBytes, shared_by_heads(g));
  const int64_t blocks = (g.q_time + Tile::kQueries - 1) / Tile::kQueries * g.heads * g.batch;
  simt::launch(attention_forward<kDim, kDropout>, grid_blocks("attention", blocks), Tile::kThreads, Tile::kSharedBytes,
               stream, call, segments);
}

}  // namespace hinoki::kernels
