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

// From one k to the next in a packed panel of A: whole vectors.
template <class T>
constexpr int64_t kPanelStride = round_up(kTileRows, kWidth<T>);

// Where a panel of A has its elements: packed, or in a part of a row-major block of the fixed width kStripe.
//   packed:       [k][kPanelStride]: one or two cache lines for each k. Where it was [rows][kStripe], with a line for
//   each row,
//                 a tile took 7 to 10 % longer whenever another program was on the other half of the core.
//   striped:      [rows][kStripe], k along the row
//   striped_down: [k][kStripe]
enum class PanelLayout { packed, striped, striped_down };
constexpr int kStripe = 128;

// Panels are packed in pieces of this many k, and tiles fetch once for each.
template <class T>
constexpr int kChunk = kWidth<T>;

// What a tile fetches for its successors, a few cache lines for each kChunk of k: all at once they would queue up
// before the tile's own loads. `lines` pieces of kTileRows elements, `stride` apart, then `step` on; `rounds` times.
template <class T>
struct Ahead {
  const T* at = nullptr;
  int64_t step = 0, stride = 0, lines = 0, rounds = 0;
};

// What of C will be written next, by the following tile, or by this one where C is stored transposed after it: `rows`
// pieces of `width` elements, `stride` apart.
template <class T>
struct NextC {
  const T* at = nullptr;
  int64_t stride = 0, rows = 0, width = kTileColumns<T>;
};

template <class T>
struct Tile {
  const T* a = nullptr;  // panel, see PanelLayout
  const T* b = nullptr;  // packed panel, [k][kTileColumns]; or rows that overlap, see run_tile
  T* c = nullptr;        // written
  int64_t ldc = 0;
  const T* start = nullptr;  // what the chains start from: row i at start + i * start_stride
  int64_t start_stride = 0;
  int64_t k = 0;
  NextC<T> next_c{};
  Ahead<T> ahead{};  // of A
};

template <class T, int rows>
struct Accumulators {
  Vector<T> v[rows][2];

  // a: row i at a + i * stride. B is fetched 24 steps ahead, about 300 cycles: where the leading dimension of A or C is
  // a multiple of a page, their lines push some of B out of the second-level cache, and a tile cannot wait for memory.
  [[gnu::always_inline]] inline void step(const T* a, int64_t stride, const T* b) {
    constexpr int64_t ahead = 24 * kTileColumns<T>;
    __builtin_prefetch(b + ahead);
    __builtin_prefetch(b + ahead + kWidth<T>);
    const Vector<T> b0 = load(b), b1 = load(b + kWidth<T>);
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
      if (from_memory(i)) {
        add_product(v[i][0], a + i * stride, b0);
        add_product(v[i][1], a + i * stride, b1);
      } else {
        const Vector<T> x = broadcast(a[i * stride]);
        add_product<T>(v[i][0], x, b0);
        add_product<T>(v[i][1], x, b1);
      }
    }
  }

 private:
  // Whether row i takes its number of A from memory, which saves an instruction: where another program runs on the other
  // half of a core, decoding is what ours is short of. As many rows do as leave a step no more loads than multiply-adds: two
  // of each where they do, one load to two where not, and two loads and two fetches of B.
  static constexpr bool from_memory(int i) {
    constexpr int wanted = kBroadcastsFromMemory ? std::max(0, rows - 4) : 0;
    return i * wanted / rows != (i + 1) * wanted / rows;  // spread evenly over the tile
  }
};

// Fetches, chunk by chunk, the tile's share of what comes next.
template <class T>
class Fetcher {
 public:
  explicit Fetcher(const Tile<T>& t)
      : ahead_(t.ahead), c_(t.next_c), pieces_a_chunk_(ceil_div(c_.rows, std::max<int64_t>(1, t.k / kChunk<T>))) {}

  [[gnu::always_inline]] inline void chunk() {
    if (ahead_.rounds > 0) {
      --ahead_.rounds;
      for (int64_t i = 0; i < ahead_.lines; ++i) {
        __builtin_prefetch(ahead_.at + i * ahead_.stride);
        __builtin_prefetch(ahead_.at + i * ahead_.stride + kTileRows - 1);
      }
      ahead_.at += ahead_.step;
    }
    for (int64_t i = 0; i < pieces_a_chunk_ && c_.rows > 0; ++i, --c_.rows, c_.at += c_.stride) {
      __builtin_prefetch(c_.at, 1);
      __builtin_prefetch(c_.at + c_.width - 1, 1);
    }
  }

 private:
  Ahead<T> ahead_;
  NextC<T> c_;
  int64_t pieces_a_chunk_;
};

// From one k to the next, B moves on by `b_step`: where that is less than a row of it, rows overlap.
template <class T, int rows, PanelLayout layout, int b_step = kTileColumns<T>>
void run_tile(const Tile<T>& t) {
  constexpr int chunk = kChunk<T>;
  Accumulators<T, rows> sum;
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    sum.v[i][0] = load(t.start + i * t.start_stride);
    sum.v[i][1] = load(t.start + i * t.start_stride + kWidth<T>);
  }
  // From one k to the next, and from row to row at one k.
  constexpr int64_t next = layout == PanelLayout::packed         ? kPanelStride<T>
                           : layout == PanelLayout::striped_down ? kStripe
                                                                 : 1;
  constexpr int64_t down = layout == PanelLayout::striped ? kStripe : 1;
  Fetcher<T> fetcher(t);
  const T *a = t.a, *b = t.b;
  int64_t p = 0;
  for (; p + chunk <= t.k; p += chunk) {
    fetcher.chunk();
    for (int q = 0; q < chunk; q += 2, a += 2 * next, b += 2 * b_step) {
      sum.step(a, down, b);
      sum.step(a + next, down, b + b_step);
    }
  }
  for (; p < t.k; ++p, a += next, b += b_step) sum.step(a, down, b);
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i) {
    store(t.c + i * t.ldc, sum.v[i][0]);
    store(t.c + i * t.ldc + kWidth<T>, sum.v[i][1]);
  }
}

// The function for tiles of `rows` rows, 1 to kTileRows.
template <class T>
using TileFunction = void (*)(const Tile<T>&);

template <class T, PanelLayout layout, int b_step = kTileColumns<T>>
TileFunction<T> tile_function(int64_t rows) {
  return [rows]<int... r>(std::integer_sequence<int, r...>) {
    static constexpr TileFunction<T> table[] = {run_tile<T, r + 1, layout, b_step>...};
    return table[rows - 1];
  }
  (std::make_integer_sequence<int, kTileRows>());
}

// m > 0 rows as panels of kTileRows; the last two share what is left, so that none is too low to be fast.
struct Panels {
  int64_t rows, count;
  explicit Panels(int64_t m) : rows(m), count(ceil_div(m, kTileRows)) {}
  int64_t begin(int64_t i) const {
    const int64_t even = i * kTileRows, left = rows - (count - 2) * kTileRows;
    return i >= count ? rows : i + 1 == count && i > 0 ? even - kTileRows + (left + 1) / 2 : even;
  }
  int64_t height(int64_t i) const { return begin(i + 1) - begin(i); }
};

}  // namespace hinoki::kernels::HINOKI_TARGET
