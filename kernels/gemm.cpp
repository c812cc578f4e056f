// Matrix product on the CPU. A task packs a block of B into its second-level cache and takes panels of A through it,
// each packed into the first-level cache right before its use. Nothing packed is shared, so no thread waits for
// another.
#include "kernels/gemm.h"

#include "core/base/blas.h"
#include "kernels/cpu/few_rows.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/sweep.h"
#include "kernels/gemm_sums.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int kSlotWide = 3;  // after those of kernels/cpu/sweep.h

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
    T* buffers = scratch<T>(kSlotPanels, 2 * room);
    int64_t p = 0;
    do {
      const int64_t k = std::min(cut_.depth, g.k - p);
      const T* b = pack_b(p, column, k, width);
      const auto source = [&](int64_t i, T* to) {
        const int64_t at = row + panels.begin(i);
        return Source{.from = a_at(at, p), .to = to, .rows = panels.height(i), .below = g.m - at, .k = k};
      };
      pack_a(source(0, buffers), {0, k});
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

  void pack_a(const Source& s, const Stretch& part) const {
    if (s.rows == 0 || part.length() <= 0) return;
    T* const to = s.to + part.begin * kPanelStride<T>;
    g.a_transposed ? copy_panel(to, s.from + part.begin * g.lda, g.lda, s.rows, part.length())
                   : transpose_panel(to, s.from + part.begin, g.lda, s.below, part.length());
  }

  // The cache lines that pack_a will read.
  Ahead<T> fetch_a(const Source& s, const Stretch& part) const {
    if (s.rows == 0 || part.length() <= 0) return {};
    return g.a_transposed ? ahead_in_columns(s.from, g.lda, s.k, part) : ahead_in_rows(s.from, g.lda, s.rows, part);
  }

  const T* a_at(int64_t i, int64_t p) const {
    return static_cast<const T*>(g.a) + (g.a_transposed ? p * g.lda + i : i * g.lda + p);
  }

  const T* pack_b(int64_t p, int64_t column, int64_t k, int64_t width) const {
    constexpr int columns = kTileColumns<T>;
    T* packed = scratch<T>(kSlotBlock, cut_.depth * cut_.columns);
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

  void run_panel(const Panel& panel, const Source& next) const {
    constexpr int columns = kTileColumns<T>;
    const auto run = tile_function<T, PanelLayout::packed>(panel.rows);
    const bool from_c = panel.p > 0 || g.accumulate;
    const int64_t tiles = ceil_div(panel.width, columns);
    for (int64_t j = 0; j < panel.width; j += columns) {
      const Stretch part = stretch<T>(next.k, j / columns, tiles);
      T* const c = static_cast<T*>(g.c) + panel.row * g.ldc + panel.column + j;
      run_any_tile<T>({.a = panel.a,
                       .b = panel.b + j * panel.k,
                       .c = c,
                       .ldc = g.ldc,
                       .start = from_c   ? c
                                : g.bias ? static_cast<const T*>(g.bias) + panel.column + j
                                         : nullptr,
                       .start_stride = from_c ? g.ldc : 0,
                       .k = panel.k,
                       .next_c = next_c(panel, j),
                       .ahead = fetch_a(next, part)},
                      run, panel.rows, std::min<int64_t>(columns, panel.width - j));
      pack_a(next, part);
    }
  }

  const T* next_c(const Panel& panel, int64_t j) const {
    const int64_t next = j + kTileColumns<T>, row = panel.row + (next < panel.width ? 0 : panel.rows);
    return static_cast<const T*>(g.c) + row * g.ldc + panel.column + (next < panel.width ? next : 0);
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
