// Attention in f32 arithmetic, for any element type, any head size up to 256 and any alignment: f32 runs, and the odd
// cases of bf16. Blocks of 128 threads hold 32 rows and pass over tiles of 32 columns in shared memory, as the tensor
// core kernels do; each thread has four rows and every sixteenth column.
#pragma once
#include "kernels/cuda/attention_backward.h"

namespace hinoki::kernels {

constexpr int kPlainTile = 32, kPlainThreads = 128, kPlainPitch = kPlainTile + 4;

// Floats from row to row: whole float4, an odd number of them, so that rows start in different banks.
__device__ __host__ inline int plain_pitch(int dim) { return ((dim + 3) / 4 | 1) * 4; }
inline size_t plain_bytes(int64_t dim, int tiles, int scores) {
  return (size_t(tiles) * kPlainTile * plain_pitch(int(dim)) + size_t(scores) * kPlainTile * kPlainPitch) *
         sizeof(float);
}

// Where a thread works: rows 4 * (thread / 16) + 0..3 and columns thread % 16 + 16 i. A row is one half-warp's.
struct PlainPlace {
  int row = int(threadIdx.x) / 16 * 4, column = int(threadIdx.x) % 16;
};

template <class T>
__device__ inline void load_plain(float* tile, const Rows<const T>& from, int first, int count, int dim) {
  const int width = (dim + 3) / 4 * 4, pitch = plain_pitch(dim);
  for (int i = int(threadIdx.x); i < kPlainTile * width; i += kPlainThreads) {
    const int row = i / width, d = i % width;
    tile[row * pitch + d] = first + row < count && d < dim ? widen(from[first + row][d]) : 0.f;
  }
}

// scores = a b^T of tiles.
__device__ inline void plain_across(float (&scores)[4][2], const float* a, const float* b, int dim) {
  const PlainPlace at;
  const int pitch = plain_pitch(dim);
  for (float(&line)[2] : scores) line[0] = line[1] = 0;
  for (int d = 0; d < dim; d += 4) {
    float4 y[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) y[j] = *reinterpret_cast<const float4*>(b + (at.column + 16 * j) * pitch + d);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float4 x = *reinterpret_cast<const float4*>(a + (at.row + i) * pitch + d);
#pragma unroll
      for (int j = 0; j < 2; ++j)
        scores[i][j] = fmaf(x.w, y[j].w, fmaf(x.z, y[j].z, fmaf(x.y, y[j].y, fmaf(x.x, y[j].x, scores[i][j]))));
    }
  }
}

// sums += p b: p by way of `staging`, which nobody reads any more, rows of 32 columns, with element d of a row in the
// thread of column d % 16.
template <int kParts>
__device__ inline void plain_down(float (&sums)[4][kParts], const float (&p)[4][2], float* staging, const float* b,
                                  int dim) {
  const PlainPlace at;
  const int pitch = plain_pitch(dim);
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 2; ++j) staging[(at.row + i) * kPlainPitch + at.column + 16 * j] = p[i][j];
  __syncwarp();
  for (int k = 0; k < kPlainTile; k += 4) {
    float4 x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = *reinterpret_cast<const float4*>(staging + (at.row + i) * kPlainPitch + k);
#pragma unroll
    for (int c = 0; c < kParts; ++c) {
      const int d = at.column + 16 * c;
      if (d >= dim) continue;
      const float* y = b + k * pitch + d;
#pragma unroll
      for (int i = 0; i < 4; ++i)
        sums[i][c] = fmaf(x[i].w, y[3 * pitch],
                          fmaf(x[i].z, y[2 * pitch], fmaf(x[i].y, y[pitch], fmaf(x[i].x, y[0], sums[i][c]))));
    }
  }
}

template <class T, int kParts>
__device__ inline void store_plain(const Rows<T>& to, int first, int count, int dim, const float (&sums)[4][kParts],
                                   const float (&factor)[4]) {
  const PlainPlace at;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int c = 0; c < kParts; ++c) {
      const int row = first + at.row + i, d = at.column + 16 * c;
      if (row < count && d < dim) to[row][d] = narrow<T>(sums[i][c] * factor[i]);
    }
}

// Does dropout keep the score of the query at `place` and `key`?
__device__ inline bool is_kept(const AttentionShape& g, uint64_t start, int place, int key) {
  const uint64_t index = start + uint64_t(place) * uint64_t((g.kv_time + 3) / 4) + uint64_t(key / 4);
  return kept_words(g.key, index, dropout_threshold(g)) >> key % 4 & 1;
}

template <class T, int kParts>
__global__ void __launch_bounds__(kPlainThreads, 2)
    attention_forward_plain(const Attention call, const SegmentBounds segments) {
  DYNAMIC_SHARED(shared, float);
  const AttentionShape& g = call.shape;
  const int dim = int(g.dim), count = int(g.q_time), keys = int(g.kv_time), heads = int(g.heads);
  const int blocks = (count + kPlainTile - 1) / kPlainTile, top = (blocks - 1 - int(blockIdx.x) % blocks) * kPlainTile;
  const int head = int(blockIdx.x) / blocks % heads, batch = int(blockIdx.x) / blocks / heads;
  const PlainPlace at;
  const KeysOfQuery sees{segments.of(batch, keys), keys - count, count, g.causal};
  const int tile = kPlainTile * plain_pitch(dim);
  float *const q = shared, *const k = q + tile, *const v = k + tile, *const staging = v + tile;
  const auto all_k = rows_of<T>(call.k, batch, head), all_v = rows_of<T>(call.v, batch, head);
  const uint64_t dropout_start = dropout_index(g, batch, head, 0);
  const float to_log2 = float(g.scale) * kLog2E;

  load_plain(q, rows_of<T>(call.q, batch, head), top, count, dim);
  float sums[4][kParts] = {}, most[4], total[4] = {}, factor[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) most[i] = -INFINITY;
  for (int column = sees(top).begin / kPlainTile * kPlainTile, end = sees(top + kPlainTile - 1).end; column < end;
       column += kPlainTile) {
    __syncthreads();
    load_plain(k, all_k, column, keys, dim);
    load_plain(v, all_v, column, keys, dim);
    __syncthreads();
    float p[4][2];
    plain_across(p, q, k, dim);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Span seen = sees(top + at.row + i);
      float next = most[i];
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int key = column + at.column + 16 * j;
        if (key < seen.begin || key >= seen.end) p[i][j] = -INFINITY;
        next = fmaxf(next, p[i][j]);
      }
#pragma unroll
      for (int other = 8; other > 0; other /= 2) next = fmaxf(next, __shfl_xor_sync(simt::kFullWarp, next, other));
      // Rounded before anything is subtracted: a tile that changes nothing corrects by exactly 1.
      const float shift = next == -INFINITY ? 0.f : __fmul_rn(next, to_log2);  // -infinity: no key seen yet
      const float correction = exp2f(__fmul_rn(most[i], to_log2) - shift);
      most[i] = next;
      total[i] *= correction;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        total[i] += p[i][j] = exp2f(fmaf(p[i][j], to_log2, -shift));
        if (g.dropout > 0 && !is_kept(g, dropout_start, sees.past + top + at.row + i, column + at.column + 16 * j))
          p[i][j] = 0;
      }
#pragma unroll
      for (int c = 0; c < kParts; ++c) sums[i][c] *= correction;
    }
    plain_down(sums, p, staging, v, dim);
  }

  float* const lse = static_cast<float*>(call.lse);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int other = 8; other > 0; other /= 2) total[i] += __shfl_xor_sync(simt::kFullWarp, total[i], other);
    factor[i] = kept_scale(g) / total[i];
    const int query = top + at.row + i;
    if (lse && at.column == 0 && query < count)
      lse[(int64_t(batch) * heads + head) * count + query] = fmaf(most[i], to_log2, log2f(total[i])) * kLn2;
  }
  store_plain(rows_of<T>(call.out, batch, head), top, count, dim, sums, factor);
}

template <class T, Side kSide, int kParts>
__global__ void __launch_bounds__(kPlainThreads, 2)
    attention_backward_plain(const AttentionGrad call, const QueryStatistics statistics, const SegmentBounds segments) {
  constexpr bool kKeys = kSide == Side::keys;
  DYNAMIC_SHARED(shared, float);
  const AttentionShape& g = call.shape;
  const int dim = int(g.dim), count = int(g.kv_time), heads = int(g.heads);
  const int blocks = (count + kPlainTile - 1) / kPlainTile, turn = int(blockIdx.x) % blocks;
  const int top = (kKeys ? turn : blocks - 1 - turn) * kPlainTile;
  const int head = int(blockIdx.x) / blocks % heads, batch = int(blockIdx.x) / blocks / heads;
  const PlainPlace at;
  const auto sees = [&] {
    if constexpr (kKeys)
      return QueriesOfKey{segments.of(batch, count), count, g.causal};
    else
      return KeysOfQuery{segments.of(batch, count), 0, count, g.causal};
  }();
  const int tile = kPlainTile * plain_pitch(dim);
  float *const a1 = shared, *const a2 = a1 + tile, *const b1 = a2 + tile, *const b2 = b1 + tile;
  float *const staging = b2 + tile, *const staging2 = staging + kPlainTile * kPlainPitch;
  const auto all_b1 = rows_of<T>(kKeys ? call.q : call.k, batch, head),
             all_b2 = rows_of<T>(kKeys ? call.dout : call.v, batch, head);
  const float *const lse = statistics.lse + (int64_t(batch) * heads + head) * statistics.padded,
                     *const delta = statistics.delta + (int64_t(batch) * heads + head) * statistics.padded;
  const uint64_t dropout_start = dropout_index(g, batch, head, 0);
  const float to_log2 = float(g.scale) * kLog2E, kept_factor = kept_scale(g);

  load_plain(a1, rows_of<T>(kKeys ? call.k : call.q, batch, head), top, count, dim);
  load_plain(a2, rows_of<T>(kKeys ? call.v : call.dout, batch, head), top, count, dim);
  float first[4][kParts] = {}, second[4][kKeys ? kParts : 1] = {};
  for (int column = sees(top).begin / kPlainTile * kPlainTile, end = sees(top + kPlainTile - 1).end; column < end;
       column += kPlainTile) {
    __syncthreads();
    load_plain(b1, all_b1, column, count, dim);
    load_plain(b2, all_b2, column, count, dim);
    __syncthreads();
    float p[4][2], ds[4][2];
    plain_across(p, a1, b1, dim);
    plain_across(ds, a2, b2, dim);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const Span seen = sees(top + at.row + i);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int one = top + at.row + i, other = column + at.column + 16 * j, query = kKeys ? other : one;
        const bool hidden = other < seen.begin || other >= seen.end;
        const float probability = hidden ? 0.f : exp2f(fmaf(p[i][j], to_log2, -lse[query])),
                    kept = g.dropout == 0                                          ? 1.f
                           : is_kept(g, dropout_start, query, kKeys ? one : other) ? kept_factor
                                                                                   : 0.f;
        p[i][j] = probability * kept;
        ds[i][j] = hidden ? 0.f : probability * (ds[i][j] * kept - delta[query]);
      }
    }
    plain_down(first, ds, staging, b1, dim);
    if constexpr (kKeys) plain_down(second, p, staging2, b2, dim);
  }
  const float scale[4] = {float(g.scale), float(g.scale), float(g.scale), float(g.scale)}, one[4] = {1, 1, 1, 1};
  store_plain(rows_of<T>(kKeys ? call.dk : call.dq, batch, head), top, count, dim, first, scale);
  if constexpr (kKeys) store_plain(rows_of<T>(call.dv, batch, head), top, count, dim, second, one);
}

// Calls f.template operator()<kParts>() where sixteen times kParts elements hold a head.
template <class F>
void visit_parts(int64_t dim, F&& f) {
  if (dim <= 64) return f.template operator()<4>();
  if (dim <= 128) return f.template operator()<8>();
  f.template operator()<16>();
}

template <class T>
void launch_attention_forward_plain(const Attention& call, const SegmentBounds& segments, Stream stream) {
  const AttentionShape& g = call.shape;
  require_shared(plain_bytes(g.dim, 3, 1), shared_by_heads(g));
  const int64_t blocks = (g.q_time + kPlainTile - 1) / kPlainTile * g.heads * g.batch;
  visit_parts(g.dim, [&]<int kParts>() {
    simt::launch(attention_forward_plain<T, kParts>, grid_blocks("attention", blocks), kPlainThreads,
                 plain_bytes(g.dim, 3, 1), stream, call, segments);
  });
}

inline size_t plain_backward_bytes(int64_t dim) { return plain_bytes(dim, 4, 2); }

template <class T, Side kSide>
void launch_attention_backward_plain(const AttentionGrad& call, const QueryStatistics& statistics,
                                     const SegmentBounds& segments, Stream stream) {
  const AttentionShape& g = call.shape;
  const int64_t blocks = (g.kv_time + kPlainTile - 1) / kPlainTile * g.heads * g.batch;
  visit_parts(g.dim, [&]<int kParts>() {
    simt::launch(attention_backward_plain<T, kSide, kParts>, grid_blocks("attention_grad", blocks), kPlainThreads,
                 plain_backward_bytes(g.dim), stream, call, statistics, segments);
  });
}

}  // namespace hinoki::kernels
