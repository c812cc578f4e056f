// One query for each head, the last of its sequence (so causal or not is one), against a cache of keys and values:
// nothing but reading the cache once, so the keys are cut into parts of 256 to keep enough blocks reading. The cut is
// by key, not by GPU: a row's bits depend on its own inputs alone. Of a shorter row in a batch the last parts are empty,
// which changes nothing.
#pragma once
#include "kernels/cuda/attention_rows.h"

namespace hinoki::kernels {

constexpr int kDecodeKeys = 256, kDecodeThreads = 128;

// Sums over some of the keys: of 2^(score - most), and of that times v.
struct DecodeState {
  float most = -INFINITY, total = 0;
};

// One place of the results of `count` states at most[i], total[i], sums[i * stride], added in order.
__device__ inline DecodeState combine(const float* most, const float* total, int statistics_stride, const float* sums,
                                      int stride, int count, float& sum) {
  DecodeState all;
  for (int i = 0; i < count; ++i) all.most = fmaxf(all.most, most[i * statistics_stride]);
  sum = 0;
  for (int i = 0; i < count; ++i) {
    const float weight = all.most == -INFINITY ? 0.f : exp2f(most[i * statistics_stride] - all.most);
    all.total = fmaf(weight, total[i * statistics_stride], all.total);
    sum = fmaf(weight, sums[i * stride], sum);
  }
  return all;
}

// Element `d` of the finished row.
template <class T>
__device__ inline void store_decoded(const Attention& call, int batch, int head, int d, const DecodeState& all,
                                     float sum) {
  rows_of<T>(call.out, batch, head)[0][d] = narrow<T>(sum / all.total);
  if (call.lse && d == 0)
    static_cast<float*>(call.lse)[int64_t(batch) * call.shape.heads + head] = (all.most + log2f(all.total)) * kLn2;
}

// Lanes that share a key: each has 16 bytes of it. `parts`: [batch * heads, splits, dim + 2], null if splits is 1.
template <class T, int kLanes>
__global__ void __launch_bounds__(kDecodeThreads)
    attention_decode(const Attention call, const int32_t* first_keys, float* parts, int splits) {
  constexpr int kGroups = kDecodeThreads / kLanes, kWidth = kVector<T>, kRow = kLanes * kWidth, kUnroll = 4;
  const AttentionShape& g = call.shape;
  const int dim = int(g.dim), heads = int(g.heads);
  const int split = int(blockIdx.x) % splits, row = int(blockIdx.x) / splits, head = row % heads, batch = row / heads;
  const int line = call.lines ? call.lines[batch] : batch, keys = call.lengths ? call.lengths[batch] + 1 : int(g.kv_time);
  const int group = int(threadIdx.x) / kLanes, place = int(threadIdx.x) % kLanes * kWidth;
  const int from = split * kDecodeKeys, end = min(keys, from + kDecodeKeys);
  const int begin = max(from, first_keys ? first_keys[int64_t(batch) * keys + keys - 1] : 0);
  const auto k = rows_of<T>(call.k, line, head), v = rows_of<T>(call.v, line, head);

  const float to_log2 = float(g.scale) * kLog2E;
  float q[kWidth] = {}, sums[kWidth] = {};
  if (place < dim) load_vector(q, rows_of<T>(call.q, batch, head)[0] + place);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) q[i] *= to_log2;
  DecodeState state;
  for (int key = from; key < end; key += kGroups * kUnroll) {
    float x[kUnroll][kWidth] = {}, y[kUnroll][kWidth] = {}, score[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int at = key + u * kGroups + group;
      if (at < begin || at >= end || place >= dim) continue;
      load_vector(x[u], k[at] + place);
      load_vector(y[u], v[at] + place);
    }
    float next = state.most;
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      score[u] = 0;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) score[u] = fmaf(x[u][i], q[i], score[u]);
#pragma unroll
      for (int other = kLanes / 2; other > 0; other /= 2) score[u] += __shfl_xor_sync(simt::kFullWarp, score[u], other);
      const int at = key + u * kGroups + group;
      if (at < begin || at >= end) score[u] = -INFINITY;
      next = fmaxf(next, score[u]);
    }
    const float shift = next == -INFINITY ? 0.f : next, correction = exp2f(state.most - shift);
    state.most = next;
    state.total *= correction;
#pragma unroll
    for (int i = 0; i < kWidth; ++i) sums[i] *= correction;
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const float p = exp2f(score[u] - shift);
      state.total += p;
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sums[i] = fmaf(p, y[u][i], sums[i]);
    }
  }

  SHARED(most, float[kGroups]);
  SHARED(total, float[kGroups]);
  SHARED(all_sums, float[kGroups * kRow]);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) all_sums[group * kRow + place + i] = sums[i];
  if (place == 0) most[group] = state.most, total[group] = state.total;
  __syncthreads();
  for (int d = int(threadIdx.x); d < dim; d += kDecodeThreads) {
    float sum;
    const DecodeState all = combine(most, total, 1, all_sums + d, kRow, kGroups, sum);
    if (splits == 1) {
      store_decoded<T>(call, batch, head, d, all, sum);
    } else {
      float* const part = parts + (int64_t(row) * splits + split) * (dim + 2);
      part[d] = sum;
      if (d == 0) part[dim] = all.most, part[dim + 1] = all.total;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kDecodeThreads)
    attention_decode_combine(const Attention call, const float* parts, int splits) {
  const int dim = int(call.shape.dim), row = int(blockIdx.x), heads = int(call.shape.heads);
  const float* const part = parts + int64_t(row) * splits * (dim + 2);
  for (int d = int(threadIdx.x); d < dim; d += kDecodeThreads) {
    float sum;
    const DecodeState all = combine(part + dim, part + dim + 1, dim + 2, part + d, dim + 2, splits, sum);
    store_decoded<T>(call, row / heads, row % heads, d, all, sum);
  }
}

// For one query without dropout, whose rows allow vectors.
template <class T>
bool can_decode(const Attention& call) {
  const AttentionShape& g = call.shape;
  return g.q_time == 1 && g.dropout == 0 && g.dim <= 32 * kVector<T> && g.dim % kVector<T> == 0 &&
         vector_rows<T>(call.q) && vector_rows<T>(call.k) && vector_rows<T>(call.v);
}

inline int decode_splits(const AttentionShape& g) { return int((g.kv_time + kDecodeKeys - 1) / kDecodeKeys); }
inline size_t decode_floats(const AttentionShape& g) {
  return decode_splits(g) == 1 ? 0 : size_t(g.batch * g.heads * decode_splits(g) * (g.dim + 2));
}

template <class T>
void launch_attention_decode(const Attention& call, const int32_t* first_keys, float* parts, Stream stream) {
  const AttentionShape& g = call.shape;
  const int splits = decode_splits(g);
  const auto kernel = g.dim <= 8 * kVector<T>    ? attention_decode<T, 8>
                      : g.dim <= 16 * kVector<T> ? attention_decode<T, 16>
                                                 : attention_decode<T, 32>;
  simt::launch(kernel, grid_blocks("attention", splits * g.heads * g.batch), kDecodeThreads, 0, stream, call,
               first_keys, parts, splits);
  if (splits > 1)
    simt::launch(attention_decode_combine<T>, grid_blocks("attention", g.heads * g.batch), kDecodeThreads, 0, stream,
                 call, parts, splits);
}

}  // namespace hinoki::kernels
