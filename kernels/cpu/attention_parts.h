// What the two passes of attention share: places of heads, segment borders, packed blocks of keys, dropout bits.
#pragma once
#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/attention.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/philox_lanes.h"
#include "kernels/cpu/vector_exp.h"

namespace hinoki::kernels::HINOKI_TARGET {

constexpr int64_t kKeys = kStripe;   // in a block; a change shows in the bits
constexpr int64_t kGroupPanels = 4;  // of query rows that pass over a block of keys while it is in the cache
constexpr int64_t kGroupRows = kGroupPanels * kTileRows;
constexpr double kLog2E = 1.4426950408889634;

// Pieces of one scratch slot.
template <class T>
class Pieces {
 public:
  Pieces(int slot, int64_t elements) : at_(scratch<T>(slot, elements)) {}
  static constexpr int64_t size(int64_t count) { return round_up(count, 64 / sizeof(T)); }
  T* take(int64_t count) { return (at_ += size(count)) - size(count); }

 private:
  T* at_;
};

template <class T>
const T* row_of(const HeadRows& x, int64_t batch, int64_t head, int64_t row) {
  return static_cast<const T*>(x.data) + batch * x.batch_stride + row * x.row_stride + head * x.head_stride;
}
template <class T>
T* row_of(const MutableHeadRows& x, int64_t batch, int64_t head, int64_t row) {
  return static_cast<T*>(x.data) + batch * x.batch_stride + row * x.row_stride + head * x.head_stride;
}

// Query i of a batch row sees keys [first[i], end[i]). Neither ever decreases from query to query.
struct KeySpans {
  int32_t *first, *end;

  KeySpans(int slot, const AttentionShape& g, int64_t batch)
      : first(scratch<int32_t>(slot, 2 * g.q_time)), end(first + g.q_time) {
    const int32_t* ids = g.segments ? g.segments + batch * g.kv_time : nullptr;
    const int64_t past = g.kv_time - g.q_time;
    int32_t begin = 0;
    for (int64_t j = 0; j < g.kv_time; ++j) {
      if (ids && j > 0 && ids[j] != ids[j - 1]) begin = int32_t(j);
      if (j >= past) first[j - past] = begin;
    }
    int32_t stop = int32_t(g.kv_time);
    for (int64_t j = g.kv_time - 1; j >= past; --j) {
      if (ids && j + 1 < g.kv_time && ids[j] != ids[j + 1]) stop = int32_t(j + 1);
      end[j - past] = g.causal ? int32_t(j + 1) : stop;
    }
  }
};

// Keys [begin, end) of a block are visible to a row.
struct Visible {
  int64_t begin, end;
};

template <class T>
Bits<T> lane_numbers() {
  Bits<T> lanes;
  for (int i = 0; i < kWidth<T>; ++i) lanes[i] = i;
  return lanes;
}

// All ones in the lanes of vector number `v` that are visible.
template <class T>
inline Bits<T> visible_lanes(Visible seen, int64_t v) {
  const Bits<T> lanes = lane_numbers<T>() + typename VectorOf<T>::Integer(v * kWidth<T>);
  return (lanes >= typename VectorOf<T>::Integer(seen.begin)) & (lanes < typename VectorOf<T>::Integer(seen.end));
}

template <class T>
inline bool all_visible(Visible seen, int64_t v) {
  return seen.begin <= v * kWidth<T> && (v + 1) * kWidth<T> <= seen.end;
}

// What dropout makes of a block of a row: 1 / (1 - dropout) or 0 for each key.
template <class T>
class DropoutRow {
 public:
  explicit DropoutRow(const AttentionShape& g)
      : g_(g), keep_(T(1 / (1 - g.dropout))), threshold_(uint32_t(g.dropout * 0x1p32)) {}

  // place: of the query in its sequence; key: first of the block
  const T* factors(int64_t batch, int64_t head, int64_t place, int64_t key, int64_t count) {
    const uint64_t row = uint64_t(((g_.first_row + batch) * g_.heads + head) * g_.kv_time + place);
    const uint64_t index = row * uint64_t(ceil_div(g_.kv_time, 4)) + uint64_t(key / 4);
    philox_lanes(g_.key, index, int(ceil_div(count, 4)), bits_);
    for (int64_t j = 0; j < count; ++j) factors_[j] = bits_[j] >= threshold_ ? keep_ : T(0);
    return factors_;
  }

 private:
  const AttentionShape& g_;
  T keep_;
  uint32_t threshold_;
  alignas(64) uint32_t bits_[kKeys];
  alignas(64) T factors_[kKeys];
};

}  // namespace hinoki::kernels::HINOKI_TARGET
