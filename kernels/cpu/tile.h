// The heart of every matrix product: one tile of C, [rows, kTileColumns], held in registers while k runs.
//   c[i][j] = fma(a[i][p], b[p][j], c[i][j])  for p = 0 .. k-1 in this order,
// so an element is one chain, whatever the tile around it is.
#pragma once
#include <algorithm>
#include <utility>

#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// 28 (12) accumulators, two vectors of B and a broadcast fill the 32 (16) registers, and hide the multiply-add's
// latency four (three) times over.
constexpr int kTileRows = kVectorBytes == 64 ? 14 : 6;
template <class T>
constexpr int kTileColumns = 2 * kWidth<T>;

// Where a panel of A has its elements. The first two are copies of contiguous pieces of where A comes from.
//   by_row:    A stored [m, k]:  [k / kChunk][rows][kChunk], a vector of k for each row in turn
//   by_column: A stored [k, m]:  [k][a_stride]
//   striped:   [rows][kStripe], a part of a row-major block of that fixed width, k along the row
// by_row panels have `rows` rows (not kTileRows), so their pieces are dense.
enum class PanelLayout { by_row, by_column, striped };
template <class T>
constexpr int kChunk = kWidth<T>;
constexpr int kStripe = 128;

template <class T>
struct Tile {
  const T* a;  // panel, see PanelLayout
  const T* b;  // packed panel, [k][kTileColumns]
  T* c;        // written
  int64_t ldc;
  const T* start;  // what the chains start from: row i at start + i * start_stride
  int64_t start_stride;
  int64_t k;
  int64_t a_stride = kTileRows;  // by_column
  const T* next_c = nullptr;     // the tile after this one, fetched meanwhile
};

template <class T, int rows>
struct Accumulators {
  Vector<T> v[rows][2];

  // a: row i at a + i * stride
  [[gnu::always_inline]] inline void step(const T* a, int stride, const T* b) {
    const Vector<T> b0 = load(b), b1 = load(b + kWidth<T>);
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
      const Vector<T> x = broadcast(a[i * stride]);
      v[i][0] = fma(x, b0, v[i][0]);
      v[i][1] = fma(x, b1, v[i][1]);
    }
  }
};

template <class T, int rows, PanelLayout layout>
void run_tile(const Tile<T>& t) {
  Accumulators<T, rows> sum;
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    sum.v[i][0] = load(t.start + i * t.start_stride);
    sum.v[i][1] = load(t.start + i * t.start_stride + kWidth<T>);
  }
  if (t.next_c)
    for (int i = 0; i < rows; ++i) {
      __builtin_prefetch(t.next_c + i * t.ldc, 1);
      __builtin_prefetch(t.next_c + i * t.ldc + kWidth<T>, 1);
    }
  const T *a = t.a, *b = t.b;
  if constexpr (layout == PanelLayout::by_column) {
    for (int64_t p = 0; p < t.k; ++p, a += t.a_stride, b += kTileColumns<T>) sum.step(a, 1, b);
  } else if constexpr (layout == PanelLayout::striped) {
    for (int64_t p = 0; p < t.k; ++p, ++a, b += kTileColumns<T>) sum.step(a, kStripe, b);
  } else {
    constexpr int chunk = kChunk<T>;
    int64_t p = 0;
    for (; p + chunk <= t.k; p += chunk, a += (rows - 1) * chunk)
      for (int q = 0; q < chunk; q += 2, a += 2, b += 2 * kTileColumns<T>) {
        sum.step(a, chunk, b);
        sum.step(a + 1, chunk, b + kTileColumns<T>);
      }
    for (; p < t.k; ++p, ++a, b += kTileColumns<T>) sum.step(a, chunk, b);
  }
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    store(t.c + i * t.ldc, sum.v[i][0]);
    store(t.c + i * t.ldc + kWidth<T>, sum.v[i][1]);
  }
}

// The function for tiles of `rows` rows, 1 to kTileRows.
template <class T>
using TileFunction = void (*)(const Tile<T>&);

template <class T, PanelLayout layout>
TileFunction<T> tile_function(int64_t rows) {
  return [rows]<int... r>(std::integer_sequence<int, r...>) {
    static constexpr TileFunction<T> table[] = {run_tile<T, r + 1, layout>...};
    return table[rows - 1];
  }
  (std::make_integer_sequence<int, kTileRows>());
}

template <class T>
TileFunction<T> tile_function(PanelLayout layout, int64_t rows) {
  return layout == PanelLayout::by_row ? tile_function<T, PanelLayout::by_row>(rows)
                                       : tile_function<T, PanelLayout::by_column>(rows);
}

// m rows as panels whose heights differ by at most one: no panel is left over that is too low to be fast.
struct Panels {
  int64_t rows, count, low, tall;  // heights: `tall` panels of low + 1, then the rest of `low`
  explicit Panels(int64_t m) : rows(m), count(ceil_div(m, kTileRows)), low(m / count), tall(m % count) {}
  int64_t begin(int64_t i) const { return i * low + std::min(i, tall); }
  int64_t height(int64_t i) const { return low + (i < tall); }
};

}  // namespace hinoki::kernels::HINOKI_TARGET
