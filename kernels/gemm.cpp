// Matrix product on the CPU. A task packs a block of B into its second-level cache and takes panels of A through it,
// each packed into the first-level cache right before its use. Nothing packed is shared, so no thread waits for
// another.
#include "kernels/gemm.h"

#include "core/base/blas.h"
#include "core/base/scratch.h"
#include "kernels/cpu/few_rows.h"
#include "kernels/cpu/pack.h"
#include "kernels/gemm_sums.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

// Scratch slots of a task.
enum Slot { kSlotA, kSlotB, kSlotEdge, kSlotWide };

template <class T, class Stored>
class Product {
 public:
  explicit Product(const Gemm& g) : g(g), cut_(choose_blocking<T>(g.m, g.n, g.k)) {}

  void run() const {
    const int64_t across = ceil_div(g.n, cut_.columns), down = ceil_div(g.m, cut_.rows);
    parallel(across * down, [&](int64_t task) {
      const int64_t row = task % down * cut_.rows, column = task / down * cut_.columns;
      run_task(row, std::min(cut_.rows, g.m - row), column, std::min(cut_.columns, g.n - column));
    });
  }

 private:
  void run_task(int64_t row, int64_t rows, int64_t column, int64_t width) const {
    const Panels panels(rows);
    const int64_t room = panel_room<T>(cut_.depth);
    T* buffers = scratch<T>(kSlotA, 2 * room);
    int64_t p = 0;
    do {
      const int64_t k = std::min(cut_.depth, g.k - p);
      const T* b = pack_b(p, column, k, width);
      const auto source = [&](int64_t i, T* to) {
        const int64_t at = row + panels.begin(i);
        return Source{.from = a_at(at, p), .to = to, .rows = panels.height(i), .below = g.m - at, .k = k};
      };
      pack_a(source(0, buffers), 0, 1);
      for (int64_t i = 0; i < panels.count; ++i) {
        T *packed = buffers + i % 2 * room, *other = buffers + (i + 1) % 2 * room;
        run_panel({.a = packed,
                   .b = b,
                   .row = row + panels.begin(i),
                   .rows = panels.height(i),
                   .column = column,
                   .width = width,
                   .p = p,
                   .k = k},
                  i + 1 < panels.count ? source(i + 1, other) : Source{});
      }
      p += cut_.depth;
    } while (p < g.k);
  }

  // A panel of A as it is stored, and where it will be packed; no rows: none.
  struct Source {
    const T* from = nullptr;
    T* to = nullptr;
    int64_t rows = 0, below = 0;  // of the panel, and of A from there on
    int64_t k = 0;
  };

  // Part number `part` of `parts` of a panel, along k.
  struct Stretch {
    int64_t begin, end;
  };
  static Stretch stretch(const Source& s, int64_t part, int64_t parts) {
    const int64_t chunks = ceil_div(s.k, kChunk<T>);
    return {chunks * part / parts * kChunk<T>, std::min(s.k, chunks * (part + 1) / parts * kChunk<T>)};
  }

  void pack_a(const Source& s, int64_t part, int64_t parts) const {
    const auto [begin, end] = stretch(s, part, parts);
    if (s.rows == 0 || begin >= end) return;
    T* const to = s.to + begin * kPanelStride<T>;
    g.a_transposed ? copy_panel(to, s.from + begin * g.lda, g.lda, s.rows, end - begin)
                   : transpose_panel(to, s.from + begin, g.lda, s.below, end - begin);
  }

  // The cache lines that pack_a will read.
  Ahead<T> fetch_a(const Source& s, int64_t part, int64_t parts) const {
    const auto [begin, end] = stretch(s, part, parts);
    if (s.rows == 0 || begin >= end) return {};
    if (!g.a_transposed)
      return {.at = s.from + begin,
              .step = g.lda,
              .stride = kChunk<T>,
              .lines = ceil_div(end - begin, kChunk<T>),
              .rounds = s.rows};
    const int64_t lines = ceil_div(end - begin, std::max<int64_t>(1, s.k / kChunk<T>));
    return {.at = s.from + begin * g.lda,
            .step = lines * g.lda,
            .stride = g.lda,
            .lines = lines,
            .rounds = ceil_div(end - begin, lines)};
  }

  const T* a_at(int64_t i, int64_t p) const {
    return static_cast<const T*>(g.a) + (g.a_transposed ? p * g.lda + i : i * g.lda + p);
  }

  const T* pack_b(int64_t p, int64_t column, int64_t k, int64_t width) const {
    constexpr int columns = kTileColumns<T>;
    T* packed = scratch<T>(kSlotB, cut_.depth * cut_.columns);
    const auto pack = [&](T* to, const T* from, int64_t ld, int64_t width) {
      g.b_transposed ? pack_rows(to, columns * k, from, ld, k, width)
                     : pack_columns(to, columns * k, from, ld, k, width);
    };
    const Stored* from = static_cast<const Stored*>(g.b) + (g.b_transposed ? column * g.ldb + p : p * g.ldb + column);
    if constexpr (std::is_same_v<T, Stored>) {
      pack(packed, from, g.ldb, width);
    } else {  // widened first, a panel at a time
      for (int64_t j = 0; j < width; j += columns) {
        const int64_t narrow = std::min<int64_t>(columns, width - j);
        const int64_t rows = g.b_transposed ? narrow : k, length = g.b_transposed ? k : narrow;
        T* wide = scratch<T>(kSlotWide, rows * length);
        const Stored* panel = from + (g.b_transposed ? j * g.ldb : j);
        for (int64_t r = 0; r < rows; ++r) widen_all(wide + r * length, panel + r * g.ldb, length);
        pack(packed + j * k, wide, length, narrow);
      }
    }
    return packed;
  }

  // A packed panel of A with all columns of its task.
  struct Panel {
    const T *a, *b;
    int64_t row, rows, column, width, p, k;
  };

  // While a tile runs, the lines of a part of the next panel come nearer; after it, that part is packed. So few of
  // them wait in the cache at a time, which matters where the leading dimension makes them compete for the same sets.
  void run_panel(const Panel& panel, const Source& next) const {
    static constexpr T zero[kTileColumns<T>] = {};
    constexpr int columns = kTileColumns<T>;
    const auto tile = tile_function<T, PanelLayout::packed>(panel.rows);
    const bool from_c = panel.p > 0 || g.accumulate;
    const int64_t tiles = ceil_div(panel.width, columns);
    for (int64_t j = 0; j < panel.width; j += columns) {
      T* c = static_cast<T*>(g.c) + panel.row * g.ldc + panel.column + j;
      const T* start = from_c ? c : g.bias ? static_cast<const T*>(g.bias) + panel.column + j : zero;
      const Tile<T> t{.a = panel.a,
                      .b = panel.b + j * panel.k,
                      .c = c,
                      .ldc = g.ldc,
                      .start = start,
                      .start_stride = from_c ? g.ldc : 0,
                      .k = panel.k,
                      .next_c = next_c(panel, j),
                      .ahead = fetch_a(next, j / columns, tiles)};
      if (panel.width - j >= columns)
        tile(t);
      else
        run_narrow(t, tile, panel.rows, panel.width - j, start == zero);
      pack_a(next, j / columns, tiles);
    }
  }

  const T* next_c(const Panel& panel, int64_t j) const {
    const int64_t next = j + kTileColumns<T>, row = panel.row + (next < panel.width ? 0 : panel.rows);
    return static_cast<const T*>(g.c) + row * g.ldc + panel.column + (next < panel.width ? next : 0);
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
    t.next_c = nullptr;
    tile(t);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < width; ++j) c[i * ldc + j] = edge[i * columns + j];
  }

  const Gemm& g;
  Blocking cut_;
};

void check(const Gemm& g) {
  require(!(g.bias && g.accumulate), "gemm: starts from the bias or from C, not from both");
  require(g.dtype == DType::f32 || g.dtype == DType::f64, "gemm: arithmetic is f32 or f64, not ", g.dtype);
  require(g.b_dtype == g.dtype || (g.dtype == DType::f32 && (g.b_dtype == DType::bf16 || g.b_dtype == DType::f16)),
          "gemm: B is ", g.b_dtype, " where A is ", g.dtype);
  require(g.c_dtype == g.dtype, "gemm: C is ", g.c_dtype, " where A is ", g.dtype);
  require(!(g.a_sums && !g.a_transposed) && !(g.b_sums && g.b_transposed),
          "gemm: operands are summed over their rows, which must be k");
  require(!g.pre_gelu && !g.dgelu_at, "gemm: products take GELU along on CUDA only");
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

template <class T, class Stored>
void run(const Gemm& g) {
  if (FewRowsProduct<T, Stored>::fits(g))
    FewRowsProduct<T, Stored>(g).run();
  else
    Product<T, Stored>(g).run();
}

void multiply(const Gemm& g) {
  if (g.m <= 0 || g.n <= 0) return;
  if (g.dtype == DType::f64) return run<double, double>(g);
  if (g.b_dtype == DType::bf16) return run<float, bf16>(g);
  if (g.b_dtype == DType::f16) return run<float, f16>(g);
  if (gemm_library() == GemmLibrary::openblas) return run_openblas(g);
  run<float, float>(g);
}

const bool ready = gemm.provide(kTarget, [](const Gemm& g, Stream stream) {
  check(g);
  multiply(g);
  if (g.a_sums) sum_a(g, Device::cpu, stream);
  if (g.b_sums) sum_b(g, Device::cpu, stream);
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
