// Matrix product on the CPU. A task packs a block of B into a second-level cache and takes panels of A through it, each
// packed right before its use, into the first-level cache as far as it fits. A thread that finds no task left helps
// with those of others, reading the block in their cache.
#include "kernels/gemm.h"

#include <atomic>
#include <new>

#include "core/base/blas.h"
#include "core/base/shared_task.h"
#include "kernels/cpu/few_rows.h"
#include "kernels/cpu/sweep.h"
#include "kernels/cpu/turned.h"
#include "kernels/gemm_sums.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

enum { kSlotWide = kSlotMore, kSlotTasks, kSlotSums };

template <class T, class Stored>
class Product {
 public:
  explicit Product(const Gemm& given)
      : turned_(worth_turning<T>(given)),
        g(turned_ ? turned(given) : given),
        cut_(turned_ ? cut_turned<T>(g.m, g.n, g.k) : choose_blocking<T>(g.m, g.n, g.k)),
        passes_(std::max<int64_t>(1, ceil_div(g.k, cut_.depth))) {}

  void run() const {
    const int64_t across = ceil_div(g.n, cut_.columns), down = ceil_div(g.m, cut_.rows), count = across * down;
    Task* const tasks = scratch<Task>(kSlotTasks, count);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = i % down * cut_.rows, column = i / down * cut_.columns;
      new (tasks + i) Task(row, std::min(cut_.rows, g.m - row), column, std::min(cut_.columns, g.n - column), passes_);
    }
    std::atomic<int64_t> next{0};
    parallel(cut_.threads, [&](int64_t) {
      const Buffers mine(cut_, turned_ && passes_ > 1);
      for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
        tasks[i].block = mine.block, tasks[i].sums = mine.sums;
        tasks[i].share.open();
        work(tasks[i], mine);
      }
      for (int64_t i = 0; i < count; ++i) {
        tasks[i].share.await_open();
        work(tasks[i], mine);
      }
    });
  }

 private:
  using Ticket = SharedTask::Ticket;

  // A part of C. The rounds are passes over k, whose parts are the panels of B to be packed, and whose items are the
  // panels of A.
  struct Task {
    int64_t row, column, width;
    Panels panels;
    SharedTask share;
    T* block = nullptr;  // of B, packed
    T* sums = nullptr;   // its part of a turned C between passes, tile by tile

    Task(int64_t row, int64_t rows, int64_t column, int64_t width, int64_t passes)
        : row(row),
          column(column),
          width(width),
          panels(rows),
          share(passes, ceil_div(width, kTileColumns<T>), panels.count) {}
  };

  // All that a thread needs, had before it opens or claims anything.
  struct Buffers {
    T *block, *panels, *wide = nullptr, *sums = nullptr;

    Buffers(const Blocking& cut, bool keep_sums)
        : block(scratch<T>(kSlotBlock, cut.depth * cut.columns)),
          panels(scratch<T>(kSlotPanels, 2 * panel_room<T>(cut.depth))) {
      if (!std::is_same_v<T, Stored>) wide = scratch<T>(kSlotWide, cut.depth * kTileColumns<T>);
      if (keep_sums) sums = scratch<T>(kSlotSums, cut.rows * cut.columns);
    }
  };

  // Does what is left of a task, alone or beside other threads.
  void work(Task& t, const Buffers& mine) const noexcept {
    T *packed = mine.panels, *other = packed + panel_room<T>(cut_.depth);
    bool ready = false;  // packed
    for (Ticket now = t.share.claim(), next; now.kind != Ticket::none; now = next) {
      t.share.await(now);
      next = t.share.claim();
      if (now.kind == Ticket::part) {
        pack_b(t, now, mine.wide);
      } else {
        if (!ready) {
          const Source s = source(t, now, packed);
          pack_a(s, {0, s.k});
        }
        run_panel(t, now, packed, source(t, next, other));
        std::swap(packed, other);
      }
      t.share.done(now);
      ready = now.kind == Ticket::item && next.kind == Ticket::item;
    }
  }

  // Of k.
  Stretch pass(const Ticket& at) const {
    const int64_t begin = at.round * cut_.depth;
    return {begin, std::min(g.k, begin + cut_.depth)};
  }

  // A panel of A as it is stored, and where it will be packed; no rows: none.
  struct Source {
    const T* from = nullptr;
    T* to = nullptr;
    int64_t rows = 0, below = 0;  // of the panel, and of A from there on
    int64_t k = 0;
  };

  Source source(const Task& t, const Ticket& at, T* to) const {
    if (at.kind != Ticket::item) return {};
    const int64_t row = t.row + t.panels.begin(at.index), p = pass(at).begin;
    const T* from = static_cast<const T*>(g.a) + (g.a_transposed ? p * g.lda + row : row * g.lda + p);
    return {.from = from, .to = to, .rows = t.panels.height(at.index), .below = g.m - row, .k = pass(at).length()};
  }

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

  // A panel of a task's block. `wide` has room for it as it is stored, if that is narrower.
  void pack_b(const Task& t, const Ticket& at, T* wide) const {
    constexpr int columns = kTileColumns<T>;
    const int64_t p = pass(at).begin, k = pass(at).length(), j = at.index * columns, column = t.column + j;
    const int64_t width = std::min<int64_t>(columns, t.width - j);
    const auto pack = [&, to = t.block + j * k](const T* from, int64_t ld) {
      g.b_transposed ? pack_rows(to, columns * k, from, ld, k, width)
                     : pack_columns(to, columns * k, from, ld, k, width);
    };
    const Stored* from = static_cast<const Stored*>(g.b) + (g.b_transposed ? column * g.ldb + p : p * g.ldb + column);
    if constexpr (std::is_same_v<T, Stored>) {
      pack(from, g.ldb);
    } else {
      const int64_t rows = g.b_transposed ? width : k, length = g.b_transposed ? k : width;
      for (int64_t r = 0; r < rows; ++r) widen_all(wide + r * length, from + r * g.ldb, length);
      pack(wide, length);
    }
  }

  // A packed panel of A with all columns of its task, while the next one is packed.
  void run_panel(const Task& t, const Ticket& at, const T* packed, const Source& next) const {
    constexpr int columns = kTileColumns<T>;
    const int64_t k = pass(at).length(), tiles = ceil_div(t.width, columns);
    for (int64_t j = 0; j < t.width; j += columns) {
      const Stretch part = stretch<T>(next.k, j / columns, tiles);
      const Tile<T> tile{.a = packed, .b = t.block + j * k, .k = k, .ahead = fetch_a(next, part)};
      turned_ ? run_turned(tile, t, at, j) : run_straight(tile, t, at, j);
      pack_a(next, part);
    }
  }

  // A tile from column j of its task on.
  void run_straight(Tile<T> tile, const Task& t, const Ticket& at, int64_t j) const {
    constexpr int columns = kTileColumns<T>;
    const int64_t rows = t.panels.height(at.index);
    T* const row = static_cast<T*>(g.c) + (t.row + t.panels.begin(at.index)) * g.ldc + t.column;
    tile.c = row + j, tile.ldc = g.ldc;
    if (at.round > 0 || g.accumulate)
      tile.start = tile.c, tile.start_stride = g.ldc;
    else if (g.bias)
      tile.start = static_cast<const T*>(g.bias) + t.column + j;
    tile.next_c = {.at = row + (j + columns < t.width ? j + columns : rows * g.ldc), .stride = g.ldc, .rows = rows};
    run_any_tile(tile, tile_function<T, PanelLayout::packed>(rows), rows, std::min<int64_t>(columns, t.width - j));
  }

  // The same of C^T, which is transposed into C after the last pass.
  void run_turned(Tile<T> tile, const Task& t, const Ticket& at, int64_t j) const {
    constexpr int columns = kTileColumns<T>;
    const int64_t row = t.panels.begin(at.index), rows = t.panels.height(at.index);
    const int64_t width = std::min<int64_t>(columns, t.width - j);
    const bool last = at.round + 1 == passes_;
    T* const c = static_cast<T*>(g.c) + (t.column + j) * g.ldc + t.row + row;
    alignas(kVectorBytes) T alone[kTileRows * columns];
    tile.c = t.sums ? t.sums + row * cut_.columns + j * rows : alone, tile.ldc = columns;
    if (at.round > 0) tile.start = tile.c, tile.start_stride = columns;
    tile.next_c = last ? NextC<T>{.at = c, .stride = g.ldc, .rows = width, .width = rows}
                       : NextC<T>{.at = tile.c + rows * columns, .stride = columns, .rows = rows};
    run_any_tile(tile, tile_function<T, PanelLayout::packed>(rows), rows, columns);
    if (last) store_turned(c, g.ldc, tile.c, rows, width);
  }

  const bool turned_;
  const Gemm g;  // turned, if it is
  const Blocking cut_;
  const int64_t passes_;  // over k
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
