// Sums over all rows of a matrix, as in the gradient of a bias: rows are cut into blocks that depend on their number
// alone, each block sums its rows in order, and blocks are added in order. So the result does not depend on the number
// of threads, and an error grows with the number of blocks plus the rows of one.
#pragma once
#include <algorithm>
#include <cstring>

#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {

constexpr int kPartialsSlot = 4;

template <class T>
struct Partials {
  int64_t rows_per_block, blocks, width;
  T* sums;  // [blocks, width], in the scratch of the calling thread
};

// body(begin, end, sums) adds what it finds in rows [begin, end) to sums[width], which starts at 0.
template <class T, class Body>
Partials<T> sum_in_blocks(int64_t rows, int64_t width, Body body) {
  const int64_t size = std::max<int64_t>(32, (rows + 255) / 256), blocks = (rows + size - 1) / size;
  const Partials<T> p{size, blocks, width, scratch<T>(kPartialsSlot, size_t(blocks * width))};
  parallel(blocks, [&](int64_t block) {
    T* const sums = p.sums + block * width;
    std::memset(sums, 0, size_t(width) * sizeof(T));
    body(block * size, std::min(rows, (block + 1) * size), sums);
  });
  return p;
}

template <class T>
[[gnu::flatten]] void add_blocks(const Partials<T>& p, int64_t first, int64_t count, T* out, bool accumulate) {
  constexpr int kColumns = 64;
  for (int64_t c = 0; c < count; c += kColumns) {
    const int n = int(std::min<int64_t>(kColumns, count - c));
    T total[kColumns] = {};
    for (int64_t block = 0; block < p.blocks; ++block) {
      const T* const sums = p.sums + block * p.width + first + c;
      for (int i = 0; i < n; ++i) total[i] += sums[i];
    }
    for (int i = 0; i < n; ++i) out[c + i] = accumulate ? out[c + i] + total[i] : total[i];
  }
}

// out[i] (+)= the sum over blocks of sums[first + i], i in [0, count). A null `out` is not wanted.
template <class T>
void finish(const Partials<T>& p, int64_t first, int64_t count, void* out, bool accumulate) {
  if (!out) return;
  parallel_blocks(count, 1024, [&](int64_t begin, int64_t end) {
    add_blocks(p, first + begin, end - begin, static_cast<T*>(out) + begin, accumulate);
  });
}

}  // namespace hinoki::kernels::HINOKI_TARGET
