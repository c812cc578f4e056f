// What all CUDA attention kernels share: places of rows, the span of columns a row sees, dropout as a bit for each
// score.
//
// Both passes are sums over tiles of scores, rows by columns. In the forward pass and for dq rows are queries and
// columns keys; for dk and dv rows are keys and columns queries. Either way a row sees one span of columns, and the
// ends of the spans never decrease from row to row.
#pragma once
#include "core/base/philox.h"
#include "kernels/attention.h"
#include "kernels/cuda/numbers.h"

namespace hinoki::kernels {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

// The rows of one head of one batch row.
template <class T>
struct Rows {
  T* data;
  int stride;

  __device__ T* operator[](int row) const { return data + int64_t(row) * stride; }
};

template <class T>
__device__ inline Rows<const T> rows_of(const HeadRows& x, int batch, int head) {
  return {static_cast<const T*>(x.data) + batch * x.batch_stride + head * x.head_stride, int(x.row_stride)};
}
template <class T>
__device__ inline Rows<T> rows_of(const MutableHeadRows& x, int batch, int head) {
  return {static_cast<T*>(x.data) + batch * x.batch_stride + head * x.head_stride, int(x.row_stride)};
}

// Of every place of every batch row: the first key of its segment, and one past the last. Null: one segment.
struct SegmentBounds {
  const int32_t* first = nullptr;
  const int32_t* end = nullptr;

  __device__ SegmentBounds of(int batch, int time) const {
    const int64_t skipped = int64_t(batch) * time;
    return first ? SegmentBounds{first + skipped, end + skipped} : SegmentBounds{};
  }
};

// [batch, kv_time] values of each go to `first` and `end`, which are on the device.
SegmentBounds find_segments(const AttentionShape& shape, int32_t* first, int32_t* end, Stream stream);

// Columns [begin, end).
struct Span {
  int begin, end;
};

// The keys each query sees.
struct KeysOfQuery {
  SegmentBounds segment;  // of this batch row, by place
  int past, count;        // place of query 0; queries
  bool causal;

  __device__ Span operator()(int query) const {
    const int place = past + min(query, count - 1);
    const int end = causal ? place + 1 : segment.end ? segment.end[place] : past + count;
    return {segment.first ? segment.first[place] : 0, end};
  }
};

// The queries that see each key (where there are as many of either).
struct QueriesOfKey {
  SegmentBounds segment;
  int count;
  bool causal;

  __device__ Span operator()(int key) const {
    const int place = min(key, count - 1);
    const int begin = causal ? place : segment.first ? segment.first[place] : 0;
    return {begin, segment.end ? segment.end[place] : count};
  }
};

__device__ inline uint32_t dropout_threshold(const AttentionShape& g) { return uint32_t(g.dropout * 0x1p32); }
__device__ inline float kept_scale(const AttentionShape& g) { return 1 / (1 - float(g.dropout)); }

// Index of the Philox words of keys 0-3 for a query at `place`.
__device__ inline uint64_t dropout_index(const AttentionShape& g, int batch, int head, int place) {
  const uint64_t row = uint64_t(((g.first_row + batch) * g.heads + head) * g.kv_time + place);
  return row * uint64_t((g.kv_time + 3) / 4);
}

// Bit w: is word w kept?
__device__ inline uint32_t kept_words(const RandomKey& key, uint64_t index, uint32_t threshold) {
  const Random4 words = philox(key, index);
  return uint32_t(words[0] >= threshold) | uint32_t(words[1] >= threshold) << 1 | uint32_t(words[2] >= threshold) << 2 |
         uint32_t(words[3] >= threshold) << 3;
}

// Refuses what no CUDA kernel of attention takes.
inline void check_attention(const char* name, const AttentionShape& g) {
  constexpr int64_t kMost = int64_t{1} << 31;
  require(g.dtype == DType::f32 || g.dtype == DType::bf16, name, ": on CUDA dtype is f32 or bf16, not ", g.dtype);
  require(g.dim > 0 && g.dim <= 256, name, ": on CUDA a head has 1 to 256 elements, not ", g.dim);
  require(g.scale > 0, name, ": scale ", g.scale, " is not positive");
  require(g.q_time <= g.kv_time, name, ": ", g.q_time, " queries but only ", g.kv_time, " keys");
  require(g.dropout >= 0 && g.dropout < 1, name, ": dropout ", g.dropout, " is not in [0, 1)");
  require(g.kv_time < kMost / 2 && g.batch < kMost && g.heads < kMost, name, ": batch ", g.batch, ", heads ", g.heads,
          ", time ", g.kv_time, " are too large");
}

// Blocks of a one-dimensional grid.
inline unsigned grid_blocks(const char* name, int64_t blocks) {
  require(blocks < int64_t{1} << 31, name, ": ", blocks, " blocks are more than a grid holds; make the batch smaller");
  return unsigned(blocks);
}

// What takes the shared memory of an attention kernel, for its refusal.
inline std::string shared_by_heads(const AttentionShape& g) {
  return say("heads of ", g.dim, " elements in ", g.dtype, g.dropout > 0 ? " with dropout" : "");
}

inline void check_stride(const char* name, int64_t row_stride) {
  require(row_stride >= 0 && row_stride < int64_t{1} << 31, name, ": rows ", row_stride, " elements apart");
}

// May the rows be read and written 16 bytes at a time?
template <class T, class Rows>
bool vector_rows(const Rows& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 && x.batch_stride % kVector<T> == 0 &&
         x.row_stride % kVector<T> == 0 && x.head_stride % kVector<T> == 0;
}

}  // namespace hinoki::kernels
