// How the work of a matrix product is cut. None of it shows in the result.
#pragma once
#include <unistd.h>

#include "core/base/parallel.h"
#include "kernels/cpu/tile.h"

namespace hinoki::kernels::HINOKI_TARGET {

struct Blocking {
  int64_t depth;          // k of one pass over a task's part of C
  int64_t columns, rows;  // of C in a task
  int64_t threads;        // worth waking
};

// Bytes of packed B that a second-level cache keeps while A and C pass through it.
inline int64_t room_for_b() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const int64_t bytes = std::clamp<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), 512 << 10, 2 << 20) * 2 / 3;
#else
  constexpr int64_t bytes = 512 << 10;
#endif
  return bytes;
}

// A panel of A (32 KiB) stays in the first-level cache beside the columns of B that pass by. Measured for f32 on the
// GPT's shapes: 256 reads and writes C more often and is 2 % slower; 384 and 768 are within 1 % of this.
template <class T>
int64_t choose_depth(int64_t k) {
  constexpr int64_t limit = 2048 / sizeof(T);
  const int64_t passes = std::max<int64_t>(1, ceil_div(k, limit));
  return std::max<int64_t>(kChunk<T>, round_up(ceil_div(k, passes), kChunk<T>));
}

// Columns of B that fit beside each other at this depth.
template <class T>
int64_t widest_block(int64_t depth) {
  return std::max<int64_t>(1, room_for_b() / int64_t(sizeof(T)) / depth / kTileColumns<T>) * kTileColumns<T>;
}

// For C [m, n] and k terms an element.
template <class T>
Blocking choose_blocking(int64_t m, int64_t n, int64_t k) {
  const int64_t depth = choose_depth<T>(k), widest = widest_block<T>(depth);
  const bool small = double(m) * double(n) * double(k) < 1e6;  // not worth waking anybody
  const int64_t threads = small ? 1 : pool().threads();
  // The cut with the least work for the busiest thread: multiplying, and packing A for each block of columns and B for
  // each block of rows. An element packed costs about as much as 8 (of A) or 16 (of B, transposed) multiply-adds.
  Blocking best{};
  double least = 1e300;
  const int64_t fewest = ceil_div(n, widest);
  for (int64_t across = fewest; across <= fewest + threads; ++across) {
    const int64_t columns = round_up(ceil_div(n, across), kTileColumns<T>), used = ceil_div(n, columns);
    const int64_t rows = round_up(ceil_div(m, ceil_div(threads, used)), kTileRows), tasks = used * ceil_div(m, rows);
    const double r = double(std::min(rows, m)), c = double(columns);
    const double work = double(ceil_div(tasks, threads)) * (r * c + 8 * r + 16 * c);
    if (work < least) least = work, best = {.depth = depth, .columns = columns, .rows = rows, .threads = threads};
  }
  return best;
}

}  // namespace hinoki::kernels::HINOKI_TARGET
