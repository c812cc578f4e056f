// The product of a few rows with a matrix, as decoding needs it: bound by reading B, so B is read once, from front to
// back, and used where it lies. Each element is the same chain of multiply-adds as in the packed product.
#pragma once
#include "core/base/scratch.h"
#include "kernels/cpu/blocking.h"
#include "kernels/cpu/halves.h"
#include "kernels/gemm.h"

namespace hinoki::kernels::HINOKI_TARGET {

constexpr int64_t kFewRows = 16;   // from here on, packing B pays
constexpr int kRowsTogether = 8;   // of A, that share what is loaded of B

// Words of B: one element, or two of 16 bits, the earlier one in the low half.
template <class T, class Stored>
constexpr int kOfWord = int(sizeof(T) / sizeof(Stored));

// The elements of a vector of words, in their order.
template <class T, class Stored, int which>
[[gnu::always_inline]] inline Vector<T> unpack(Vector<T> words) {
  if constexpr (kOfWord<T, Stored> == 1) {
    return words;
  } else {
    return widen_half<Stored, which>(words);
  }
}

template <class T, class Stored>
class FewRowsProduct {
 public:
  explicit FewRowsProduct(const Gemm& g) : g(g) {}

  static bool fits(const Gemm& g) {
    const bool words = sizeof(T) == sizeof(Stored) || (g.ldb % 2 == 0 && uintptr_t(g.b) % sizeof(T) == 0);
    return g.m <= kFewRows && !g.a_transposed && words;
  }

  void run() const {
    const int64_t block = g.b_transposed ? 2 * kLanes : kColumns, blocks = ceil_div(g.n, block);
    const int64_t bytes = block * g.k * int64_t(sizeof(Stored));
    // Tasks of some 64 KiB: small enough to be shared evenly, large enough to be worth fetching.
    const int64_t together = std::clamp<int64_t>((64 << 10) / std::max<int64_t>(1, bytes), 1, blocks);
    auto task = [&](int64_t t) {
      for (int64_t i = t * together; i < std::min(blocks, (t + 1) * together); ++i) {
        const int64_t column = i * block, width = std::min(block, g.n - column);
        g.b_transposed ? run_rows_of_b(column, width) : run_columns_of_b(column, width);
      }
    };
    const int64_t tasks = ceil_div(blocks, together);
    if (bytes * blocks < (48 << 10))
      for (int64_t t = 0; t < tasks; ++t) task(t);
    else
      parallel(tasks, task);
  }

 private:
  static constexpr int kLanes = kWidth<T>, kWord = kOfWord<T, Stored>;
  // Sums of two vectors of columns that registers hold beside a square of B; more only where no word is unpacked.
  static constexpr int kSums = kVectorBytes == 64 && kWord == 1 ? 16 : 8;
  static constexpr int64_t kColumns = 8 * kLanes;
  enum Slot { kSlotEdge };

  // What a block of columns of C starts from, and where it goes: whole vectors, beside C where it has fewer.
  struct Place {
    T* c;
    int64_t ldc;
    const T* start;
    int64_t start_stride;
  };

  const T* a_at(int64_t row) const { return static_cast<const T*>(g.a) + row * g.lda; }
  Place place(int64_t row, int64_t column) const {
    static constexpr T zero[kColumns] = {};
    T* c = static_cast<T*>(g.c) + row * g.ldc + column;
    if (g.accumulate) return {c, g.ldc, c, g.ldc};
    return {c, g.ldc, g.bias ? static_cast<const T*>(g.bias) + column : zero, 0};
  }

  // B stored [n, k]: `width` of its rows, up to two vectors of them.
  void run_rows_of_b(int64_t column, int64_t width) const {
    const Stored* b = static_cast<const Stored*>(g.b) + column * g.ldb;
    const int64_t next = column + 2 * kLanes < g.n ? 2 * kLanes * g.ldb : 0;
    int64_t ldb = g.ldb;
    if (width < 2 * kLanes) {  // through a copy with whole vectors of rows
      ldb = round_up(g.k, 64);
      Stored* copy = scratch<Stored>(kSlotEdge, size_t(2 * kLanes * ldb));
      for (int64_t j = 0; j < 2 * kLanes; ++j) std::copy_n(b + std::min(j, width - 1) * g.ldb, g.k, copy + j * ldb);
      b = copy;
    }
    for (int64_t row = 0; row < g.m; row += kRowsTogether) {
      const int64_t rows = std::min<int64_t>(kRowsTogether, g.m - row), ahead = row == 0 ? next : 0;
      with_rows(rows, [&]<int R>() {
        if constexpr (2 * R <= kSums) {
          narrow(width, place(row, column), R, 2 * kLanes,
                 [&](const Place& p) { by_rows<R, 2>(a_at(row), b, ldb, ahead, p); });
        } else {
          for (int64_t j = 0; j < width; j += kLanes)
            narrow(width - j, place(row, column + j), R, kLanes,
                   [&](const Place& p) { by_rows<R, 1>(a_at(row), b + j * ldb, ldb, ahead, p); });
        }
      });
    }
  }

  // Lanes are rows of B: a square of each is turned in registers. While it runs, the lines of B `ahead` come nearer.
  template <int R, int V>
  void by_rows(const T* a, const Stored* b, int64_t ldb, int64_t ahead, const Place& to) const {
    constexpr int part = kPart<T>, step = part * kWord, line = 64 / int(sizeof(Stored));
    Vector<T> sum[R][V];
    load_start(sum, to);
    const T* words = reinterpret_cast<const T*>(b);
    const int64_t stride = ldb / kWord;
    int64_t p = 0;
    for (; p + step <= g.k; p += step) {
      if (ahead) {  // each line once: a part of the rows at each step
        constexpr int turns = line / step, rows = V * kLanes / turns;
        const Stored* from = b + ahead + p + p / step % turns * rows * ldb;
        for (int r = 0; r < rows; ++r) __builtin_prefetch(from + r * ldb);
      }
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        Vector<T> w[part];
#pragma GCC unroll 4
        for (int r = 0; r < part; ++r) w[r] = load_parts(words + p / kWord + (v * kLanes + r) * stride, part * stride);
        transpose_parts(w);
#pragma GCC unroll 4
        for (int i = 0; i < part; ++i) {
          add(sum, v, unpack<T, Stored, 0>(w[i]), a + p + i * kWord);
          if constexpr (kWord == 2) add(sum, v, unpack<T, Stored, 1>(w[i]), a + p + i * kWord + 1);
        }
      }
    }
    for (; p < g.k; ++p)
      for (int v = 0; v < V; ++v) {
        Vector<T> w{};
        for (int j = 0; j < kLanes; ++j) w[j] = widened(b[(v * kLanes + j) * ldb + p]);
        add(sum, v, w, a + p);
      }
    store_sums(sum, to);
  }

  // B stored [k, n]: lanes are columns.
  void run_columns_of_b(int64_t column, int64_t width) const {
    for (int64_t row = 0; row < g.m; row += kRowsTogether)
      with_rows(std::min<int64_t>(kRowsTogether, g.m - row), [&]<int R>() {
        constexpr int V = R <= 2 ? 8 : R <= 4 ? 4 : 2;
        for (int64_t j = 0; j < width;) {
          const int64_t left = width - j;
          if (left >= V * kLanes) {
            by_columns<R, V>(a_at(row), column + j, place(row, column + j));
            j += V * kLanes;
          } else if (left >= kLanes) {
            by_columns<R, 1>(a_at(row), column + j, place(row, column + j));
            j += kLanes;
          } else {
            last_columns(a_at(row), column + j, left, R, place(row, column + j));
            break;
          }
        }
      });
  }

  template <int R, int V>
  void by_columns(const T* a, int64_t column, const Place& to) const {
    const Stored* b = static_cast<const Stored*>(g.b) + column;
    Vector<T> sum[R][V];
    load_start(sum, to);
    for (int64_t p = 0; p < g.k; ++p, b += g.ldb) {
      for (int j = 0; j < V * kLanes; j += 64 / int(sizeof(Stored))) __builtin_prefetch(b + 16 * g.ldb + j);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) add(sum, v, load_wide(b + v * kLanes), a + p);
    }
    store_sums(sum, to);
  }

  void last_columns(const T* a, int64_t column, int64_t width, int64_t rows, const Place& to) const {
    const Stored* b = static_cast<const Stored*>(g.b) + column;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < width; ++j) {
        Vector<T> sum = broadcast(to.start[r * to.start_stride + j]);
        for (int64_t p = 0; p < g.k; ++p) sum = fma(broadcast(a[r * g.lda + p]), broadcast(widened(b[p * g.ldb + j])), sum);
        to.c[r * to.ldc + j] = sum[0];
      }
  }

  static T widened(Stored x) {
    if constexpr (std::is_same_v<T, Stored>)
      return x;
    else
      return to_float(x);
  }
  static Vector<T> load_wide(const Stored* b) {
    if constexpr (std::is_same_v<T, Stored>)
      return load(b);
    else
      return load_widened(b);
  }

  // sum[r][v] = fma(a[r], b, sum[r][v])
  template <int R, int V>
  [[gnu::always_inline]] void add(Vector<T> (&sum)[R][V], int v, Vector<T> b, const T* a) const {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) add_product<T>(sum[r][v], broadcast(a[r * g.lda]), b);
  }
  template <int R, int V>
  static void load_start(Vector<T> (&sum)[R][V], const Place& from) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] = load(from.start + r * from.start_stride + v * kLanes);
  }
  template <int R, int V>
  static void store_sums(const Vector<T> (&sum)[R][V], const Place& to) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) store(to.c + r * to.ldc + v * kLanes, sum[r][v]);
  }

  // Runs f on a place of `whole` columns: the real one, or one beside it of which `width` columns are copied.
  template <class F>
  void narrow(int64_t width, const Place& real, int64_t rows, int64_t whole, F f) const {
    if (width >= whole) return f(real);
    T edge[kRowsTogether * 2 * kLanes] = {};
    for (int64_t r = 0; r < rows; ++r) std::copy_n(real.start + r * real.start_stride, width, edge + r * whole);
    f(Place{edge, whole, edge, whole});
    for (int64_t r = 0; r < rows; ++r) std::copy_n(edge + r * whole, width, real.c + r * real.ldc);
  }

  template <class F>
  static void with_rows(int64_t rows, F f) {
    [&]<int... r>(std::integer_sequence<int, r...>) {
      ((rows == r + 1 ? f.template operator()<r + 1>() : void()), ...);
    }
    (std::make_integer_sequence<int, kRowsTogether>());
  }

  const Gemm& g;
};

}  // namespace hinoki::kernels::HINOKI_TARGET
