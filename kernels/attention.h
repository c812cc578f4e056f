// Multi-head attention, causal or in both directions, blockwise: no array of time x time exists, and blocks that nobody
// sees (above the diagonal, between segments) are skipped.
// For each batch row and head, with query i of the call at place i' = kv_time - q_time + i of its sequence:
//
//   s[i][j] = scale * <q[i], k[j]>     for j in the segment of i', if causal j <= i'; else -infinity
//   lse[i]  = log(sum over j of exp(s[i][j]))
//   p[i][j] = exp(s[i][j] - lse[i])
//   out[i]  = sum over j of d(p[i][j]) * v[j]
//
// with d the dropout of p: bits of (key, ((row * heads + head) * kv_time + i') * ceil(kv_time / 4) + j / 4), word j %
// 4, row counted over the global batch; d(p) = p / (1 - dropout) if the word >= dropout * 2^32, else 0.
//
// Keys are taken in fixed blocks from key 0 on, with a running maximum and sum. So the bits of a row of `out` depend
// neither on the other rows of the call (decoding with a cache gives the bits of the full pass), nor on threads. (On
// CUDA a call of one query cuts its keys into fixed parts instead: bits of its own, the same in any batch.)
// Statistics are in wide(dtype).
#pragma once
#include "core/base/philox.h"
#include "kernels/kernel.h"

namespace hinoki::kernels {

// Vectors of `dim` elements in rows (time) and heads: element 0 of (batch, row, head) is at
// data + batch * batch_stride + row * row_stride + head * head_stride, in elements.
struct HeadRows {
  const void* data;
  int64_t batch_stride, row_stride, head_stride;
};
struct MutableHeadRows {
  void* data;
  int64_t batch_stride, row_stride, head_stride;
};

// What the forward and the backward pass share.
struct AttentionShape {
  int64_t batch, heads, dim, q_time, kv_time;
  double scale;                       // > 0
  const int32_t* segments = nullptr;  // [batch, kv_time], non-decreasing in each row; null: one segment
  double dropout = 0;
  RandomKey key{};
  int64_t first_row = 0;  // index of batch row 0 in the global batch
  bool causal = true;
  DType dtype = DType::f32;
};

struct Attention {
  AttentionShape shape;
  HeadRows q, k, v;
  MutableHeadRows out;
  void* lse = nullptr;  // [batch, heads, q_time] in wide(dtype), kept for the backward pass; may be null
  // Of one query with a cache: the keys of row b are the first lengths[b] + 1 <= kv_time of row lines[b] of k and v.
  // [batch]; null: all kv_time of row b.
  const int32_t *lines = nullptr, *lengths = nullptr;
};

struct AttentionGrad {          // dv[j] = sum over i of d(p[i][j]) * dout[i];  dp[i][j] = <dout[i], v[j]>
  AttentionShape shape;         // ds[i][j] = d(p)[i][j] * dp[i][j] - p[i][j] * <dout[i], out[i]>
  HeadRows q, k, v, out, dout;  // dq[i] = scale * sum over j of ds[i][j] * k[j]
  const void* lse;              // dk[j] = scale * sum over i of ds[i][j] * q[i]
  MutableHeadRows dq, dk, dv;   // All three are overwritten, never added to. q_time is kv_time.
};

inline Kernel<Attention> attention{"attention"};
inline Kernel<AttentionGrad> attention_grad{"attention_grad"};

}  // namespace hinoki::kernels
