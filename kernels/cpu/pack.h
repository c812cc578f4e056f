// Copies of matrix blocks in the order in which tiles read them. The copies are what makes strides, powers of two among
// them, harmless: a tile reads its operands from front to back.
#pragma once
#include "core/base/half.h"
#include "kernels/cpu/tile.h"

namespace hinoki::kernels::HINOKI_TARGET {

// B becomes panels of kTileColumns columns, [k][kTileColumns] each, `panel_size` elements apart. Columns that B does
// not have repeat its last one: what they give lands in no element of C.

// B stored [k, n] with leading dimension ldb, `width` columns of it.
template <class T>
void pack_columns(T* to, int64_t panel_size, const T* b, int64_t ldb, int64_t k, int64_t width) {
  constexpr int columns = kTileColumns<T>;
  const int64_t full = width / columns, rest = width % columns;
  for (int64_t p = 0; p < k; ++p, b += ldb, to += columns) {
    for (int64_t j = 0; j < full; ++j) {
      const T* from = b + j * columns;
      __builtin_prefetch(from + 4 * ldb);
      __builtin_prefetch(from + 4 * ldb + kWidth<T>);
      store(to + j * panel_size, load(from));
      store(to + j * panel_size + kWidth<T>, load(from + kWidth<T>));
    }
    if (rest)
      for (int64_t j = 0; j < columns; ++j) to[full * panel_size + j] = b[full * columns + std::min(j, rest - 1)];
  }
}

// One vector of columns out of B stored [n, k]: to[p * stride + j] = b[j * ldb + p] for kWidth rows. While it runs, the
// rows after these are fetched: each row is another page, too many streams for the hardware to follow.
template <class T>
void transpose_rows(T* to, int64_t stride, const T* b, int64_t ldb, int64_t k) {
  constexpr int part = kPart<T>, parts = kVectorBytes / 16;
  int64_t p = 0;
  for (; p + part <= k; p += part, to += part * stride) {
    const T* ahead = b + p + (kWidth<T> + p / part % parts * part) * ldb;
    Vector<T> v[part];
#pragma GCC unroll 4
    for (int r = 0; r < part; ++r) {
      v[r] = load_parts(b + r * ldb + p, part * ldb);
      __builtin_prefetch(ahead + r * ldb);
    }
    transpose_parts(v);
#pragma GCC unroll 4
    for (int r = 0; r < part; ++r) store(to + r * stride, v[r]);
  }
  for (; p < k; ++p, to += stride)
    for (int j = 0; j < kWidth<T>; ++j) to[j] = b[j * ldb + p];
}

// B stored [n, k] with leading dimension ldb: `width` rows of it.
template <class T>
void pack_rows(T* to, int64_t panel_size, const T* b, int64_t ldb, int64_t k, int64_t width) {
  constexpr int lanes = kWidth<T>, columns = kTileColumns<T>;
  for (; width >= columns; width -= columns, to += panel_size, b += columns * ldb) {
    transpose_rows(to, columns, b, ldb, k);
    transpose_rows(to + lanes, columns, b + lanes * ldb, ldb, k);
  }
  for (int64_t j = 0; j < columns && width > 0; ++j) {
    const T* row = b + std::min(j, width - 1) * ldb;
    for (int64_t p = 0; p < k; ++p) to[p * columns + j] = row[p];
  }
}

// Elements that a packed panel takes up at most.
template <class T>
constexpr int64_t panel_room(int64_t k) {
  return kPanelStride<T> * round_up(k, kChunk<T>);
}

// A panel of `rows` rows of A, by_row.
template <class T>
void pack_panel_by_row(T* to, const T* a, int64_t lda, int64_t rows, int64_t k) {
  constexpr int chunk = kChunk<T>;
  int64_t p = 0;
  for (; p + chunk <= k; p += chunk)
    for (int64_t i = 0; i < rows; ++i, to += chunk) store(to, load(a + i * lda + p));
  for (int64_t i = 0; i < rows && p < k; ++i, to += chunk)
    for (int64_t q = p; q < k; ++q) to[q - p] = a[i * lda + q];
}

// The same by_column. Whole vectors are copied wherever that stays inside the block.
template <class T>
void pack_panel_by_column(T* to, const T* a, int64_t lda, int64_t rows, int64_t k) {
  constexpr int span = kPanelStride<T>;
  const int64_t last = (k - 1) * lda + rows - span;  // where a span may begin at most
  const int64_t whole = last < 0 ? 0 : std::min(k, last / std::max<int64_t>(1, lda) + 1);
  int64_t p = 0;
  for (; p < whole; ++p, a += lda, to += span)
    for (int v = 0; v < span; v += kWidth<T>) store(to + v, load(a + v));
  for (; p < k; ++p, a += lda, to += span)
    for (int64_t i = 0; i < rows; ++i) to[i] = a[i];
}

}  // namespace hinoki::kernels::HINOKI_TARGET
