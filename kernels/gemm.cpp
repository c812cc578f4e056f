// Matrix product on the CPU. A is packed once by all threads; then each task packs the columns of B it needs into its
// own second-level cache and multiplies all its rows with them, so that B is packed once in all and never shared.
#include "kernels/gemm.h"

#include "core/base/blas.h"
#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

// Scratch slots. A belongs to the calling thread and is read by all; the others to each task.
enum Slot { kSlotA, kSlotB, kSlotEdge, kSlotWide };

// Sizes in elements of T. None of them shows in the result.
template <class T>
struct Blocking {
  int64_t k;            // of one pass over C
  int64_t columns;      // of B in a task
  int64_t panels;       // of A in a task
  int64_t rows, depth;  // of A packed at once
};

template <class T>
Blocking<T> choose_blocking(const Gemm& g) {
  constexpr int64_t depth_limit = 3072 / sizeof(T), cache = (1 << 20) / sizeof(T), packed = (8 << 20) / sizeof(T);
  Blocking<T> b;
  const int64_t passes = std::max<int64_t>(1, ceil_div(g.k, depth_limit));
  b.k = std::max<int64_t>(kChunk<T>, round_up(ceil_div(g.k, passes), kChunk<T>));
  b.rows = std::min(g.m, round_up(2048, kTileRows));
  b.depth = std::max<int64_t>(1, packed / round_up(b.rows, kTileRows) / b.k) * b.k;
  // Enough tasks for every thread to have several, unless the product is too small to share.
  const bool small = double(g.m) * double(g.n) * double(g.k) < 1e6;
  const int64_t tasks = small ? 1 : pool().threads() == 1 ? 1 : 2 * pool().threads();
  const int64_t widest = std::max<int64_t>(kTileColumns<T>, cache / b.k / kTileColumns<T> * kTileColumns<T>);
  const int64_t fair = round_up(ceil_div(g.n, tasks), kTileColumns<T>);
  b.columns = std::min(widest, std::max<int64_t>(4 * kTileColumns<T>, fair));
  const int64_t across = ceil_div(g.n, b.columns), panels = ceil_div(b.rows, kTileRows);
  b.panels = ceil_div(panels, across >= tasks ? 1 : std::min(panels, ceil_div(tasks, across)));
  return b;
}

// One call of the kernel, on a block of rows and of k at a time.
template <class T, class Stored>
struct Product {
  const Gemm& g;
  const Blocking<T> block = choose_blocking<T>(g);
  const PanelLayout layout = g.a_transposed ? PanelLayout::by_column : PanelLayout::by_row;

  const T* a_at(int64_t i, int64_t p) const {
    return static_cast<const T*>(g.a) + (g.a_transposed ? p * g.lda + i : i * g.lda + p);
  }
  const Stored* b_at(int64_t p, int64_t j) const {
    return static_cast<const Stored*>(g.b) + (g.b_transposed ? j * g.ldb + p : p * g.ldb + j);
  }
  T* c_at(int64_t i, int64_t j) const { return static_cast<T*>(g.c) + i * g.ldc + j; }

  void run() const {
    for (int64_t row = 0; row < g.m; row += block.rows) {
      int64_t p = 0;
      do {
        run_block(row, p, std::min(block.depth, g.k - p));
        p += block.depth;
      } while (p < g.k);
    }
  }

  // Rows [row, row + block.rows), k in [first, first + depth).
  void run_block(int64_t row, int64_t first, int64_t depth) const {
    const Panels panels(std::min(block.rows, g.m - row));
    const int64_t passes = std::max<int64_t>(1, ceil_div(depth, block.k));
    T* packed = scratch<T>(kSlotA, panels.count * kTileRows * passes * block.k);
    const auto panel = [&](int64_t pass, int64_t i) {
      return packed + (pass * panels.count + i) * kTileRows * block.k;
    };
    parallel_blocks(panels.count, 8, [&](int64_t begin, int64_t end) {
      for (int64_t pass = 0; pass < passes; ++pass)
        for (int64_t i = begin; i < end; ++i) {
          const int64_t p = pass * block.k;
          pack_panel(panel(pass, i), a_at(row + panels.begin(i), first + p), g.lda, panels.height(i),
                     std::min(block.k, depth - p), layout);
        }
    });
    const int64_t across = ceil_div(g.n, block.columns), down = ceil_div(panels.count, block.panels);
    parallel(across * down, [&](int64_t task) {
      const int64_t column = task / down * block.columns, width = std::min(block.columns, g.n - column);
      const int64_t top = task % down * block.panels, bottom = std::min(panels.count, top + block.panels);
      for (int64_t pass = 0; pass < passes; ++pass) {
        const int64_t p = first + pass * block.k, k = std::min(block.k, first + depth - p);
        const T* b = pack_b(p, column, k, width);
        for (int64_t i = top; i < bottom; ++i)
          run_panel(panel(pass, i), b, row + panels.begin(i), column, panels.height(i), width, k, p == 0);
      }
    });
  }

  const T* pack_b(int64_t p, int64_t column, int64_t k, int64_t width) const {
    constexpr int columns = kTileColumns<T>;
    T* packed = scratch<T>(kSlotB, block.k * round_up(block.columns, columns));
    for (int64_t j = 0; j < width; j += columns) {
      const int64_t narrow = std::min<int64_t>(columns, width - j);
      T* to = packed + j * k;
      const Stored* from = b_at(p, column + j);
      if constexpr (std::is_same_v<T, Stored>) {
        g.b_transposed ? pack_rows(to, from, g.ldb, k, narrow) : pack_columns(to, from, g.ldb, k, narrow);
      } else {
        const int64_t rows = g.b_transposed ? narrow : k, length = g.b_transposed ? k : narrow;
        T* wide = scratch<T>(kSlotWide, rows * round_up(length, columns));
        const int64_t ld = round_up(length, columns);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t e = 0; e < length; ++e) wide[r * ld + e] = to_float(from[r * g.ldb + e]);
        g.b_transposed ? pack_rows(to, wide, ld, k, narrow) : pack_columns(to, wide, ld, k, narrow);
      }
    }
    return packed;
  }

  // One panel of A with all columns of the task.
  void run_panel(const T* a, const T* b, int64_t i, int64_t column, int64_t rows, int64_t width, int64_t k,
                 bool first) const {
    static constexpr T zero[kTileColumns<T>] = {};
    constexpr int columns = kTileColumns<T>;
    const TileFunction<T> tile = tile_function<T>(layout, rows);
    const bool from_c = !first || g.accumulate;
    for (int64_t j = 0; j < width; j += columns) {
      T* c = c_at(i, column + j);
      const T* start = from_c ? c : g.bias ? static_cast<const T*>(g.bias) + column + j : zero;
      const int64_t stride = from_c ? g.ldc : 0;
      const Tile<T> t{.a = a,
                      .b = b + j * k,
                      .c = c,
                      .ldc = g.ldc,
                      .start = start,
                      .start_stride = stride,
                      .k = k,
                      .next_c = j + columns < width ? c + columns : c};
      if (width - j >= columns)
        tile(t);
      else
        run_narrow(t, tile, rows, width - j, start == zero);
    }
  }

  // The last columns of C, fewer than a tile has: through a full tile beside it.
  void run_narrow(Tile<T> t, TileFunction<T> tile, int64_t rows, int64_t width, bool from_zero) const {
    constexpr int columns = kTileColumns<T>;
    T* edge = scratch<T>(kSlotEdge, kTileRows * columns);
    if (!from_zero) {
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < columns; ++j)
          edge[i * columns + j] = j < width ? t.start[i * t.start_stride + j] : T(0);
      t.start = edge;
      t.start_stride = columns;
    }
    T* c = std::exchange(t.c, edge);
    const int64_t ldc = std::exchange(t.ldc, columns);
    t.next_c = edge;
    tile(t);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < width; ++j) c[i * ldc + j] = edge[i * columns + j];
  }
};

void check(const Gemm& g) {
  require(!(g.bias && g.accumulate), "gemm: starts from the bias or from C, not from both");
  require(g.dtype == DType::f32 || g.dtype == DType::f64, "gemm: arithmetic is f32 or f64, not ", g.dtype);
  require(g.b_dtype == g.dtype || (g.dtype == DType::f32 && (g.b_dtype == DType::bf16 || g.b_dtype == DType::f16)),
          "gemm: B is ", g.b_dtype, " where A is ", g.dtype);
}

void run_openblas(const Gemm& g) {
  auto* c = static_cast<float*>(g.c);
  if (g.bias)
    for (int64_t i = 0; i < g.m; ++i) std::memcpy(c + i * g.ldc, g.bias, g.n * sizeof(float));
  openblas_multiply({.a = static_cast<const float*>(g.a),
                     .b = static_cast<const float*>(g.b),
                     .c = c,
                     .m = g.m,
                     .n = g.n,
                     .k = g.k,
                     .lda = g.lda,
                     .ldb = g.ldb,
                     .ldc = g.ldc,
                     .a_transposed = g.a_transposed,
                     .beta = g.accumulate || g.bias ? 1.0f : 0.0f,
                     .b_transposed = g.b_transposed,
                     .threads = pool().threads()});
}

const bool ready = gemm.provide(kTarget, [](const Gemm& g, Stream) {
  check(g);
  if (g.m <= 0 || g.n <= 0) return;
  if (g.dtype == DType::f64) return Product<double, double>{g}.run();
  if (g.b_dtype == DType::bf16) return Product<float, bf16>{g}.run();
  if (g.b_dtype == DType::f16) return Product<float, f16>{g}.run();
  if (gemm_library() == GemmLibrary::openblas) return run_openblas(g);
  Product<float, float>{g}.run();
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
