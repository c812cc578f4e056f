// A panel of A on its way past the tiles of a block of B: while a tile runs, a part of the next panel comes nearer, and
// is packed after it. So few of its lines wait in the cache at a time, which matters where the leading dimension makes
// them compete for the same sets.
#pragma once
#include "core/base/scratch.h"
#include "kernels/cpu/tile.h"

namespace hinoki::kernels::HINOKI_TARGET {

// Scratch slots of a task. A product that needs others begins at kSlotMore.
enum ProductSlot { kSlotPanels, kSlotBlock, kSlotMore };

// Runs a tile over the last columns of C, fewer than it has, through a full one beside them. `start` null: zeros.
template <class T>
void run_narrow_tile(Tile<T> t, TileFunction<T> run, int64_t rows, int64_t width) {
  constexpr int columns = kTileColumns<T>;
  alignas(kVectorBytes) T edge[kTileRows * columns];
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      edge[i * columns + j] = t.start && j < width ? t.start[i * t.start_stride + j] : T(0);
  t.start = edge, t.start_stride = columns;
  T* const c = std::exchange(t.c, edge);
  const int64_t ldc = std::exchange(t.ldc, columns);
  t.next_c = {};
  run(t);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < width; ++j) c[i * ldc + j] = edge[i * columns + j];
}

template <class T>
void run_any_tile(Tile<T> t, TileFunction<T> run, int64_t rows, int64_t width) {
  static constexpr T zero[kTileColumns<T>] = {};
  if (width < kTileColumns<T>) return run_narrow_tile(t, run, rows, width);
  if (t.start == nullptr) t.start = zero, t.start_stride = 0;
  run(t);
}

// A part of a panel's k.
struct Stretch {
  int64_t begin, end;
  int64_t length() const { return end - begin; }
};

// Number `part` of `parts`, in whole chunks.
template <class T>
Stretch stretch(int64_t k, int64_t part, int64_t parts) {
  const int64_t chunks = ceil_div(k, kChunk<T>);
  return {chunks * part / parts * kChunk<T>, std::min(k, chunks * (part + 1) / parts * kChunk<T>)};
}

// The cache lines of a stretch of k of A stored [m, k], one row of the panel after the other.
template <class T>
Ahead<T> ahead_in_rows(const T* at, int64_t lda, int64_t rows, const Stretch& part) {
  return {.at = at + part.begin,
          .step = lda,
          .stride = kChunk<T>,
          .lines = ceil_div(part.length(), kChunk<T>),
          .rounds = rows};
}

// The same of A stored [k, m], spread over a tile of this k.
template <class T>
Ahead<T> ahead_in_columns(const T* at, int64_t lda, int64_t k, const Stretch& part) {
  const int64_t lines = ceil_div(part.length(), std::max<int64_t>(1, k / kChunk<T>));
  return {.at = at + part.begin * lda,
          .step = lines * lda,
          .stride = lda,
          .lines = lines,
          .rounds = ceil_div(part.length(), lines)};
}

}  // namespace hinoki::kernels::HINOKI_TARGET
