// The backward pass of attention on tensor cores, in two sweeps that are one kernel: `Side::keys` holds a block of keys
// and passes over the queries that see it (dk, dv), `Side::queries` holds a block of queries and passes over their keys
// (dq). Either way rows a1, a2 stay and tiles b1, b2 pass by:
//
//   scores = a1 b1^T, dp = a2 b2^T    keys: a1 = k, a2 = v, b1 = q, b2 = dout; queries: q, dout, k, v
//   first += ds b1                    keys: dk;                                queries: dq
//   second += d(p) b2                 keys: dv
//
// Seven products for each score where one sweep would need five: but no sum is shared by blocks, so the order of every
// addition is fixed without atomics, without blocks that wait for each other and without an f32 copy of dq, and
// probabilities and ds stay in registers in both sweeps.
#pragma once
#include <algorithm>

#include "kernels/cuda/attention_tiles.h"
#include "kernels/cuda/shared_limit.h"

namespace hinoki::kernels {

enum class Side { queries, keys };

// 32 rows to a warp where the registers hold their sums (see attention_forward.h), else 16.
template <int kDim, Side kSide, bool kDropout>
struct BackwardTile {
  static constexpr bool kKeys = kSide == Side::keys, kWide = kDim > 64 || kDropout, kFull = kDim > 96 && kDropout;
  static constexpr int kAtoms = (kKeys && kWide) || kFull ? 1 : 2, kWarps = 8 / kAtoms, kBlocksPerSm = kAtoms;
  static constexpr int kColumns = kKeys == kWide && !kFull ? 64 : 32;
  static constexpr int kThreads = kWarps * 32, kWarpRows = kAtoms * 16, kRows = kWarps * kWarpRows;
  static constexpr int kRowTile = kRows * kPitch<kDim>, kColumnTile = kColumns * kPitch<kDim>;
  static constexpr int kStatistics = kKeys ? 4 * kColumns : 0;  // bf16 elements that hold 2 floats for each column
  static constexpr int kStage = 2 * kColumnTile + kStatistics;
  static constexpr size_t kSharedBytes = (2 * kRowTile + 2 * kStage) * sizeof(bf16);
  static constexpr size_t kStaticBytes = kRows * (sizeof(Span) + (kKeys ? 1 : 2) * sizeof(float));
};

// For each query: log2(e) * lse and <dout, out>, in rows of `padded` floats for each head.
struct QueryStatistics {
  const float *lse, *delta;
  int padded;
};
constexpr int kStatisticsBlock = 64;                                                // padded is a multiple of it
constexpr int kStatisticsThreads = 256, kStatisticsRows = kStatisticsThreads / 16;  // 16 lanes read a row

template <class T>
__global__ void __launch_bounds__(kStatisticsThreads)
    attention_statistics(const AttentionGrad call, float* lse, float* delta, int padded, bool vectors) {
  const AttentionShape& g = call.shape;
  const int lane = int(threadIdx.x) % 16, count = int(g.kv_time), dim = int(g.dim), heads = int(g.heads);
  const int64_t at = int64_t(blockIdx.x) * kStatisticsRows + threadIdx.x / 16;
  const int query = int(at % padded), head = int(at / padded % heads), batch = int(at / padded / heads);
  float sum = 0;
  if (query < count) {
    const T *out = rows_of<T>(call.out, batch, head)[query], *dout = rows_of<T>(call.dout, batch, head)[query];
    if (vectors) {
      for (int d = lane * kVector<T>; d < dim; d += 16 * kVector<T>) {
        float x[kVector<T>], y[kVector<T>];
        load_vector(x, out + d);
        load_vector(y, dout + d);
#pragma unroll
        for (int i = 0; i < kVector<T>; ++i) sum = fmaf(x[i], y[i], sum);
      }
    } else {
      for (int d = lane; d < dim; d += 16) sum = fmaf(widen(out[d]), widen(dout[d]), sum);
    }
  }
#pragma unroll
  for (int other = 8; other > 0; other /= 2) sum += __shfl_xor_sync(simt::kFullWarp, sum, other);
  if (lane != 0) return;
  const int64_t row = int64_t(batch) * heads + head;
  // Past the last query: probability zero.
  lse[at] = query < count ? static_cast<const float*>(call.lse)[row * count + query] * kLog2E : INFINITY;
  delta[at] = sum;
}

// Calls f(m, n, e, x) for each score of a lane with x the statistic of its query, which is its column or its row.
// `statistic` starts with the tile's first column, or with the warp's first row.
template <bool kByColumn, int kAtoms, int kBlocks, class F>
__device__ __forceinline__ void with_statistic(const float* statistic, F&& f) {
  const unsigned lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
    float2 of_column = make_float2(0, 0);
    if constexpr (kByColumn) of_column = *reinterpret_cast<const float2*>(statistic + n * 8 + lane % 4 * 2);
#pragma unroll
    for (int m = 0; m < kAtoms; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float of_row = 0;
        if constexpr (!kByColumn) of_row = statistic[m * 16 + half * 8 + lane / 4];
        f(m, n, half * 2, kByColumn ? of_column.x : of_row);
        f(m, n, half * 2 + 1, kByColumn ? of_column.y : of_row);
      }
  }
}

template <int kDim, Side kSide, bool kDropout>
__global__ void __launch_bounds__(BackwardTile<kDim, kSide, kDropout>::kThreads,
                                  BackwardTile<kDim, kSide, kDropout>::kBlocksPerSm)
    attention_backward(const AttentionGrad call, const QueryStatistics statistics, const SegmentBounds segments) {
  using Tile = BackwardTile<kDim, kSide, kDropout>;
  constexpr int kAtoms = Tile::kAtoms, kColumns = Tile::kColumns, kBlocks = kColumns / 8;
  constexpr bool kKeys = Tile::kKeys;
  DYNAMIC_SHARED(shared, bf16);
  const AttentionShape& g = call.shape;
  const int dim = int(g.dim), count = int(g.kv_time), heads = int(g.heads);
  // Blocks with the longest pass start first.
  const int blocks = (count + Tile::kRows - 1) / Tile::kRows, turn = int(blockIdx.x) % blocks;
  const int top = (kKeys ? turn : blocks - 1 - turn) * Tile::kRows;
  const int head = int(blockIdx.x) / blocks % heads, batch = int(blockIdx.x) / blocks / heads;
  const int warp = int(threadIdx.x / 32), row = top + warp * Tile::kWarpRows;

  const auto sees = [&] {
    if constexpr (kKeys)
      return QueriesOfKey{segments.of(batch, count), count, g.causal};
    else
      return KeysOfQuery{segments.of(batch, count), 0, count, g.causal};
  }();
  const int begin = sees(top).begin / kColumns * kColumns, end = sees(top + Tile::kRows - 1).end;
  SHARED(spans, Span[Tile::kRows]);
  if (threadIdx.x < Tile::kRows) spans[threadIdx.x] = sees(top + int(threadIdx.x));
  const Span* const warp_spans = spans + warp * Tile::kWarpRows;
  const float *const lse = statistics.lse + (int64_t(batch) * heads + head) * statistics.padded,
                     *const delta = statistics.delta + (int64_t(batch) * heads + head) * statistics.padded;
  SHARED(of_rows, float[kKeys ? 1 : 2][Tile::kRows]);
  if (!kKeys && threadIdx.x < Tile::kRows) {
    const int query = min(top + int(threadIdx.x), count - 1);
    of_rows[0][threadIdx.x] = lse[query], of_rows[!kKeys][threadIdx.x] = delta[query];
  }

  bf16 *const stages = shared + 2 * Tile::kRowTile, *const a1 = shared + warp * Tile::kWarpRows * kPitch<kDim>,
              *const a2 = a1 + Tile::kRowTile;
  const auto b1 = rows_of<bf16>(kKeys ? call.q : call.k, batch, head),
             b2 = rows_of<bf16>(kKeys ? call.dout : call.v, batch, head);
  const auto copy_columns = [&](int column, bf16* stage) {
    copy_tile<kColumns, kDim, Tile::kThreads>(stage, b1, column, count, dim);
    copy_tile<kColumns, kDim, Tile::kThreads>(stage + Tile::kColumnTile, b2, column, count, dim);
    if constexpr (kKeys) {
      constexpr int kPieces = kColumns / 4;
      const int i = int(threadIdx.x) % kPieces * 4, which = int(threadIdx.x) / kPieces;
      float* const to = reinterpret_cast<float*>(stage + 2 * Tile::kColumnTile) + which * kColumns;
      if (which < 2) simt::cp_async16(to + i, (which ? delta : lse) + column + i);
    }
  };
  copy_tile<Tile::kRows, kDim, Tile::kThreads>(shared, rows_of<bf16>(kKeys ? call.k : call.q, batch, head), top, count,
                                               dim);
  copy_tile<Tile::kRows, kDim, Tile::kThreads>(shared + Tile::kRowTile,
                                               rows_of<bf16>(kKeys ? call.v : call.dout, batch, head), top, count, dim);
  copy_columns(begin, stages);
  simt::cp_async_commit();

  const float to_log2 = float(g.scale) * kLog2E, kept_factor = kDropout ? kept_scale(g) : 1.f;
  float first[kAtoms][kDim / 8][4] = {}, second[kAtoms][kKeys ? kDim / 8 : 1][4] = {};

  for (int column = begin, turn = 0; column < end; column += kColumns, turn ^= 1) {
    simt::cp_async_wait<0>();
    __syncthreads();  // all copies of this stage have arrived, and nobody reads the other one any more
    if (column + kColumns < end) copy_columns(column + kColumns, stages + (turn ^ 1) * Tile::kStage);
    simt::cp_async_commit();
    if (row >= count || !sees_some<Tile::kWarpRows>(warp_spans, column, kColumns)) continue;
    const bf16 *const tile1 = stages + turn * Tile::kStage, *const tile2 = tile1 + Tile::kColumnTile;
    const float* const of_columns = reinterpret_cast<const float*>(tile2 + Tile::kColumnTile);
    const float* const tile_lse = kKeys ? of_columns : of_rows[0] + warp * Tile::kWarpRows;
    const float* const tile_delta = kKeys ? of_columns + kColumns : of_rows[!kKeys] + warp * Tile::kWarpRows;

    Scores<kAtoms, kColumns> p = {};
    multiply_across<kDim>(p, a1, tile1);
    with_statistic<kKeys, kAtoms, kBlocks>(
        tile_lse, [&](int m, int n, int e, float x) { p[m][n][e] = exp2_approx(fmaf(p[m][n][e], to_log2, -x)); });
    if (!sees_all<Tile::kWarpRows>(warp_spans, column, kColumns)) hide(p, 0.f, warp_spans, column);

    uint32_t kept[kAtoms];
    if constexpr (kDropout) {
      const KeptScores dropout(g, batch, head);
#pragma unroll
      for (int m = 0; m < kAtoms; ++m)
        kept[m] = kKeys ? dropout.rows_are_keys<kBlocks>(row + m * 16, column)
                        : dropout.rows_are_queries<kBlocks>(row + m * 16, column);
    }
    if constexpr (kKeys) {
      if constexpr (kDropout) {
        Scores<kAtoms, kColumns> some;
#pragma unroll
        for (int m = 0; m < kAtoms; ++m)
#pragma unroll
          for (int i = 0; i < kBlocks * 4; ++i) some[m][i / 4][i % 4] = kept[m] >> i & 1 ? p[m][i / 4][i % 4] : 0.f;
        multiply_down<kDim>(second, some, tile2);
      } else {
        multiply_down<kDim>(second, p, tile2);
      }
    }

    Scores<kAtoms, kColumns> ds = {};
    multiply_across<kDim>(ds, a2, tile2);
    with_statistic<kKeys, kAtoms, kBlocks>(tile_delta, [&](int m, int n, int e, float x) {
      float dp = ds[m][n][e];
      if constexpr (kDropout) dp = kept[m] >> (n * 4 + e) & 1 ? dp * kept_factor : 0.f;
      ds[m][n][e] = p[m][n][e] * (dp - x);
    });
    multiply_down<kDim>(first, ds, tile1);
  }

  if (row >= count) return;
  float factor[kAtoms][2];
#pragma unroll
  for (int i = 0; i < kAtoms * 2; ++i) factor[i / 2][i % 2] = float(g.scale);
  store_rows<kDim>(rows_of<bf16>(kKeys ? call.dk : call.dq, batch, head), row, count, dim, first, factor, a1);
  if constexpr (kKeys) {
#pragma unroll
    for (int i = 0; i < kAtoms * 2; ++i) factor[i / 2][i % 2] = kept_factor;
    store_rows<kDim>(rows_of<bf16>(call.dv, batch, head), row, count, dim, second, factor, a2);
  }
}

// Asked of both sweeps before the first launch.
template <int kDim, bool kDropout>
void require_shared_of_sweeps(const AttentionShape& g) {
  using OfKeys = BackwardTile<kDim, Side::keys, kDropout>;
  using OfQueries = BackwardTile<kDim, Side::queries, kDropout>;
  require_shared(
      std::max(OfKeys::kSharedBytes + OfKeys::kStaticBytes, OfQueries::kSharedBytes + OfQueries::kStaticBytes),
      shared_by_heads(g));
}

template <int kDim, Side kSide, bool kDropout>
void launch_attention_backward(const AttentionGrad& call, const QueryStatistics& statistics,
                               const SegmentBounds& segments, Stream stream) {
  using Tile = BackwardTile<kDim, kSide, kDropout>;
  const AttentionShape& g = call.shape;
  const int64_t blocks = (g.kv_time + Tile::kRows - 1) / Tile::kRows * g.heads * g.batch;
  simt::launch(attention_backward<kDim, kSide, kDropout>, grid_blocks("attention_grad", blocks), Tile::kThreads,
               Tile::kSharedBytes, stream, call, statistics, segments);
}

}  // namespace hinoki::kernels
