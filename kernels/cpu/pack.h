// Copies of matrix blocks in the order in which tiles read them. The copies are what makes strides, powers of two among
// them, harmless: a tile reads its operands from front to back.
#pragma once
#include <algorithm>

#include "core/base/half.h"
#include "kernels/cpu/tile.h"

namespace hinoki::kernels::HINOKI_TARGET {

// Panels of B are always kTileColumns wide. Columns that B does not have repeat its last one: what they give lands in
// no element of C.

// B stored [k, n] with leading dimension ldb, `width` columns of it.
template <class T>
void pack_columns(T* to, const T* b, int64_t ldb, int64_t k, int64_t width) {
  constexpr int columns = kTileColumns<T>;
  if (width == columns) {
    for (int64_t p = 0; p < k; ++p, b += ldb, to += columns) {
      __builtin_prefetch(b + 16 * ldb);
      __builtin_prefetch(b + 16 * ldb + kWidth<T>);
      store(to, load(b));
      store(to + kWidth<T>, load(b + kWidth<T>));
    }
    return;
  }
  for (int64_t p = 0; p < k; ++p, b += ldb, to += columns)
    for (int64_t j = 0; j < columns; ++j) to[j] = b[std::min(j, width - 1)];
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
void pack_rows(T* to, const T* b, int64_t ldb, int64_t k, int64_t width) {
  constexpr int lanes = kWidth<T>, columns = kTileColumns<T>;
  if (width == columns) {
    transpose_rows(to, columns, b, ldb, k);
    transpose_rows(to + lanes, columns, b + lanes * ldb, ldb, k);
    return;
  }
  for (int64_t j = 0; j < columns; ++j) {
    const T* row = b + std::min(j, width - 1) * ldb;
    for (int64_t p = 0; p < k; ++p) to[p * columns + j] = row[p];
  }
}

// A panel of `rows` rows of A, see PanelLayout.
template <class T>
void pack_panel(T* to, const T* a, int64_t lda, int64_t rows, int64_t k, PanelLayout layout) {
  if (layout == PanelLayout::by_column) {
    for (int64_t p = 0; p < k; ++p, a += lda, to += kTileRows)
      for (int64_t i = 0; i < rows; ++i) to[i] = a[i];
    return;
  }
  constexpr int chunk = kChunk<T>;
  int64_t p = 0;
  for (; p + chunk <= k; p += chunk)
    for (int64_t i = 0; i < rows; ++i, to += chunk) store(to, load(a + i * lda + p));
  for (int64_t i = 0; i < rows; ++i, to += chunk)
    for (int64_t q = p; q < k; ++q) to[q - p] = a[i * lda + q];
}

}  // namespace hinoki::kernels::HINOKI_TARGET
