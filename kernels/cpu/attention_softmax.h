// The softmax of a row of scores, taken block by block of keys.
#pragma once
#include "kernels/cpu/attention_parts.h"

namespace hinoki::kernels::HINOKI_TARGET {

// Partial sums of a row: 64 bytes of them whatever the vector width, so that every target adds in the same order.
template <class T>
constexpr int kSumVectors = 64 / kVectorBytes;

template <class T>
inline T total(const T* lanes) {
  T sum[64 / sizeof(T)];
  std::memcpy(sum, lanes, sizeof sum);
  for (int half = 32 / sizeof(T); half > 0; half /= 2)
    for (int i = 0; i < half; ++i) sum[i] += sum[i + half];
  return sum[0];
}

// The running state of one query row over the blocks of keys.
template <class T>
struct RowState {
  T largest;               // score so far, before scaling
  T sums[64 / sizeof(T)];  // of 2^(score - largest), key j in lane j % lanes
};

// A row of scores becomes probabilities relative to the largest score so far; returns what earlier sums and outputs
// must be multiplied by. Keys that are not visible get 0, up to `width`.
template <class T>
inline T softmax_row(T* scores, int64_t width, Visible seen, T to_log2, RowState<T>& state) {
  constexpr int lanes = kWidth<T>;
  const int64_t vectors = ceil_div(width, lanes);
  const bool none = seen.begin >= seen.end;
  const int64_t first = none ? vectors : seen.begin / lanes, last = none ? vectors : ceil_div(seen.end, lanes);
  for (int64_t v = 0; v < first; ++v) store(scores + v * lanes, Vector<T>{});
  for (int64_t v = last; v < vectors; ++v) store(scores + v * lanes, Vector<T>{});
  if (none) return 1;
  const Vector<T> nothing = broadcast(-T(INFINITY));
  Vector<T> most = broadcast(state.largest);
  for (int64_t v = first; v < last; ++v) {
    Vector<T> x = load(scores + v * lanes);
    if (!all_visible<T>(seen, v)) store(scores + v * lanes, x = visible_lanes<T>(seen, v) ? x : nothing);
    most = greater<T>(x, most);
  }
  const T before = state.largest;
  state.largest = largest<T>(most);
  // The scaled maximum is rounded once, the same for the row and for the correction of its past.
  const T shift = -state.largest * to_log2;
  const T correction = state.largest == before ? T(1) : exp2<T>(broadcast(before * to_log2 + shift))[0];

  Vector<T> sums[kSumVectors<T>];
  for (int i = 0; i < kSumVectors<T>; ++i) sums[i] = load(state.sums + i * lanes) * broadcast(correction);
  const Vector<T> scale = broadcast(to_log2), offset = broadcast(shift);
  for (int64_t v = first; v < last; ++v) {
    const Vector<T> p = exp2<T>(fma(load(scores + v * lanes), scale, offset));
    store(scores + v * lanes, p);
    sums[v % kSumVectors<T>] += p;
  }
  for (int i = 0; i < kSumVectors<T>; ++i) store(state.sums + i * lanes, sums[i]);
  return correction;
}

}  // namespace hinoki::kernels::HINOKI_TARGET
