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
      __builtin_prefetch(from + 16 * ldb);
      __builtin_prefetch(from + 16 * ldb + kWidth<T>);
      store(to + j * panel_size, load(from));
      store(to + j * panel_size + kWidth<T>, load(from + kWidth<T>));
    }
    if (rest)
      for (int64_t j = 0; j < columns; ++j) to[full * panel_size + j] = b[full * columns + std::min(j, rest - 1)];
  }
}

// kWidth rows become columns: to[p * stride + j] = row(j)[p]. ahead(p, j) is called once a cache line for each j.
template <class T, class Row, class Ahead>
void transpose_rows(T* to, int64_t stride, int64_t k, const Row& row, const Ahead& ahead) {
  constexpr int part = kPart<T>, parts = kVectorBytes / 16;
  int64_t p = 0;
  for (; p + part <= k; p += part, to += part * stride) {
    Vector<T> v[part];
#pragma GCC unroll 4
    for (int r = 0; r < part; ++r) {
      v[r] = load_parts<T>([&](int q) { return row(q * part + r) + p; });
      ahead(p, p / part % parts * part + r);
    }
    transpose_parts(v);
#pragma GCC unroll 4
    for (int r = 0; r < part; ++r) store(to + r * stride, v[r]);
  }
  for (; p < k; ++p, to += stride)
    for (int j = 0; j < kWidth<T>; ++j) to[j] = row(j)[p];
}

// The same of rows `ld` apart from `from` on. After `count` of them, which may be none or negative where `from` lies
// beyond the end, the last one stands for those that are missing.
template <class T, bool fetch>
void transpose_rows(T* to, int64_t stride, const T* from, int64_t ld, int64_t count, int64_t k) {
  // Each row is another page, too many streams for the hardware to follow.
  const auto ahead = [=](int64_t p, int64_t j) {
    if constexpr (fetch) __builtin_prefetch(from + (kWidth<T> + j) * ld + p);
  };
  if (count >= kWidth<T>)
    return transpose_rows(
        to, stride, k, [=](int j) { return from + j * ld; }, ahead);
  const T* rows[kWidth<T>];
  for (int j = 0; j < kWidth<T>; ++j) rows[j] = from + std::min<int64_t>(j, count - 1) * ld;
  transpose_rows(
      to, stride, k, [&](int j) { return rows[j]; }, ahead);
}

// B stored [n, k] with leading dimension ldb: `width` rows of it.
template <class T>
void pack_rows(T* to, int64_t panel_size, const T* b, int64_t ldb, int64_t k, int64_t width) {
  constexpr int lanes = kWidth<T>, columns = kTileColumns<T>;
  for (; width > 0; width -= columns, to += panel_size, b += columns * ldb)
    for (int j = 0; j < columns; j += lanes) transpose_rows<T, true>(to + j, columns, b + j * ldb, ldb, width - j, k);
}

// Elements of a packed panel of A.
template <class T>
constexpr int64_t panel_room(int64_t k) {
  return kPanelStride<T> * k;
}

// A panel of A stored [m, k], from row `a` on, after which there are `count` rows in all: at least those of the panel.
template <class T>
void transpose_panel(T* to, const T* a, int64_t lda, int64_t count, int64_t k) {
  for (int64_t i = 0; i < kPanelStride<T>; i += kWidth<T>)
    transpose_rows<T, false>(to + i, kPanelStride<T>, a + i * lda, lda, count - i, k);
}

// A panel of `rows` rows of A stored [k, m]. Whole vectors are copied wherever that stays inside the block.
template <class T>
void copy_panel(T* to, const T* a, int64_t lda, int64_t rows, int64_t k) {
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
