// A product of few rows with a large B, such as a chunk of rows with the output projection's weight, is done turned:
// C^T = B^T A^T. An element of B serves one multiply-add of each row. Packed as a block it comes from memory while
// nobody multiplies, a sixth of the time at 256 rows; as the other operand it is fetched and packed while tiles run.
// Every element of C remains the same chain of the same products.
#pragma once
#include <cstring>

#include "kernels/cpu/blocking.h"
#include "kernels/cpu/pack.h"
#include "kernels/gemm.h"

namespace hinoki::kernels::HINOKI_TARGET {

// C and its leading dimension stay as they are; m and n are those of C^T.
inline Gemm turned(Gemm g) {
  std::swap(g.a, g.b);
  std::swap(g.m, g.n);
  std::swap(g.lda, g.ldb);
  g.a_transposed = !std::exchange(g.b_transposed, !g.a_transposed);
  return g;
}

// How a turned product is cut: all columns in each block, rows among the threads. A k of up to 4 KiB is not cut if its
// block fits; where it is, the task's part of C^T is kept until the last pass.
template <class T>
Blocking cut_turned(int64_t m, int64_t n, int64_t k) {
  const int64_t columns = round_up(n, kTileColumns<T>), threads = pool().threads();
  const bool whole = k * int64_t(sizeof(T)) <= 4096 && columns <= widest_block<T>(k);
  return {.depth = whole ? k : choose_depth<T>(k),
          .columns = columns,
          .rows = round_up(ceil_div(m, threads), kTileRows),
          .threads = threads};
}

// Whether that pays, for C [m, n], in multiply-adds. It saves about 24 for each element of B, less one for each column
// that only fills the last tile. It costs 16 for each element of C, which has to be transposed, and another 24 a thread
// for each of A, since each thread packs all of A for its rows of C^T. Below 128 rows there are too few tiles to fetch
// B behind; above 320 it made no difference; and with vectors of 32 bytes, whose tiles are slower, it cost 3 %.
template <class T>
bool worth_turning(const Gemm& g) {
  if (kVectorBytes < 64) return false;
  if (g.bias || g.accumulate || g.b_dtype != g.dtype || g.m < 128 || g.m > 320 || g.n <= g.m || g.k <= 0) return false;
  const Blocking cut = cut_turned<T>(g.n, g.m, g.k);
  const int64_t saved = (24 - (cut.columns - g.m)) * g.n * g.k;
  const int64_t spent = 16 * g.m * g.n + 24 * g.m * g.k * cut.threads;
  const int64_t kept = cut.depth < g.k ? cut.rows : 0;  // beside the block
  return saved > spent && (cut.depth + kept) * cut.columns * int64_t(sizeof(T)) <= room_for_b();
}

// `width` columns of a tile become rows of C, `ldc` apart.
template <class T>
void store_turned(T* c, int64_t ldc, const T* tile, int64_t rows, int64_t width) {
  constexpr int columns = kTileColumns<T>, stride = kPanelStride<T>;
  alignas(kVectorBytes) T flipped[columns * stride];
  transpose_panel(flipped, tile, columns, rows, columns);
  for (int64_t j = 0; j < width; ++j, c += ldc)
    if (const T* const from = flipped + j * stride; rows == kTileRows)
      std::memcpy(c, from, kTileRows * sizeof(T));  // a constant: a few instructions
    else
      std::memcpy(c, from, rows * sizeof(T));
}

}  // namespace hinoki::kernels::HINOKI_TARGET
