// Products with a matrix of windows: as the left factor, C = windows * B, which a convolution and the gradient of its
// input are, and as the right one, C = A^T * windows, which the gradient of its weight is. Each element of C is one
// chain of multiply-adds, as in kernels/gemm.h.
#pragma once
#include "kernels/cpu/blocking.h"
#include "kernels/cpu/sweep.h"
#include "kernels/cpu/windows.h"

namespace hinoki::kernels::HINOKI_TARGET {

template <class T>
[[gnu::flatten]] void through_gelu(T* c, const T* x, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) c[i] *= gelu(x[i]).slope;
}

// C[b][t] = bias + windows[b][t] * B, times GELU's slope at `gelu_at`, if that is given.
template <class T>
struct WindowsTimes {
  Windows<T> a;
  const T* b;  // packed panels [columns / kTileColumns][width of a window][kTileColumns]
  int64_t batch, columns;
  T* c;                  // window t of row b of the batch at b * c_batch + t * ldc
  int64_t c_batch, ldc;  // also of gelu_at
  const T* bias = nullptr;
  const T* gelu_at = nullptr;

  // Windows are cut into panels row by row of the batch. Tasks sweep over their panels once for each stretch of k,
  // whose part of B stays in the second-level cache; several tasks a thread, since cores may be shared.
  void run() const {
    const Panels panels(a.count);
    const int64_t depth = choose_depth<T>(a.width),
                  block = std::min(widest_block<T>(depth), round_up(columns, kTileColumns<T>));
    const int64_t across = ceil_div(columns, block), total = batch * panels.count;
    const int64_t share = std::max<int64_t>(8, ceil_div(total, 4 * pool().threads())), down = ceil_div(total, share);
    parallel(across * down, [&](int64_t task) {
      const int64_t begin = task % down * share, column = task / down * block;
      run_task(panels, begin, std::min(total, begin + share), column, std::min(block, columns - column), depth);
    });
  }

 private:
  // A panel of A: where it comes from.
  struct Source {
    int64_t b, t, rows, p, k;
  };

  void run_task(const Panels& panels, int64_t begin, int64_t end, int64_t column, int64_t width, int64_t depth) const {
    const int64_t room = panel_room<T>(depth);
    T* const buffers = scratch<T>(kSlotPanels, size_t(2 * room));
    int64_t p = 0;
    do {
      const int64_t k = std::min(depth, a.width - p);
      const auto source = [&](int64_t i) {
        const int64_t of_row = i % panels.count;
        return Source{i / panels.count, panels.begin(of_row), panels.height(of_row), p, k};
      };
      pack(buffers + begin % 2 * room, source(begin), {0, k});
      for (int64_t i = begin; i < end; ++i)
        run_panel(buffers + i % 2 * room, source(i), column, width, buffers + (i + 1) % 2 * room,
                  i + 1 < end ? source(i + 1) : Source{});
      p += depth;
    } while (p < a.width);
  }

  void pack(T* to, const Source& s, const Stretch& part) const {
    if (s.rows > 0 && part.length() > 0)
      a.pack_rows_of(to + part.begin * kPanelStride<T>, s.b, s.t, s.rows, s.p + part.begin, part.length());
  }

  // The cache lines that `pack` will read.
  Ahead<T> fetch(const Source& s, const Stretch& part) const {
    if (s.rows == 0 || part.length() <= 0 || !a.inside(s.t, s.rows)) return {};
    return ahead_in_rows(a.data + s.b * a.size + a.first + s.t * a.step + s.p, a.step, s.rows, part);
  }

  T* place(const Source& s, int64_t column) const { return c + s.b * c_batch + s.t * ldc + column; }

  // While a panel runs, the next one is fetched and packed, part by part.
  void run_panel(const T* packed, const Source& s, int64_t column, int64_t width, T* to, const Source& next) const {
    constexpr int tile_columns = kTileColumns<T>;
    const auto run = tile_function<T, PanelLayout::packed>(s.rows);
    const int64_t tiles = ceil_div(width, tile_columns);
    T* const row = place(s, column);
    for (int64_t j = 0; j < width; j += tile_columns) {
      const bool first = s.p == 0;
      const Stretch part = stretch<T>(next.k, j / tile_columns, tiles);
      run_any_tile<T>({.a = packed,
                       .b = b + (column + j) * a.width + s.p * tile_columns,
                       .c = row + j,
                       .ldc = ldc,
                       .start = !first ? row + j
                                : bias ? bias + column + j
                                       : nullptr,
                       .start_stride = first ? 0 : ldc,
                       .k = s.k,
                       .next_c = {.at = j + tile_columns < width ? row + j + tile_columns : place(next, column),
                                  .stride = ldc,
                                  .rows = s.rows},
                       .ahead = fetch(next, part)},
                      run, s.rows, std::min<int64_t>(tile_columns, width - j));
      pack(to, next, part);
    }
    if (gelu_at && s.p + s.k == a.width)
      for (int64_t i = 0; i < s.rows; ++i) {
        const int64_t at = row - c + i * ldc;
        through_gelu(c + at, gelu_at + at, width);
      }
  }
};

// C[m][width of a window] = sum over the windows of all rows of the batch of A[window][m] times the window.
template <class T>
struct TimesWindows {
  const T* a;  // [batch * windows][m], lda from row to row
  int64_t lda, m;
  Windows<T> b;
  int64_t batch;
  T* c;  // [m][width of a window], without gaps

  void run() const {
    const int64_t k = batch * b.count;
    const Blocking cut = choose_blocking<T>(m, b.width, std::max<int64_t>(1, k));
    const int64_t across = ceil_div(b.width, cut.columns), down = ceil_div(m, cut.rows);
    parallel(across * down, [&](int64_t task) {
      const int64_t row = task % down * cut.rows, column = task / down * cut.columns;
      int64_t p = 0;
      do {
        run_pass(cut, row, std::min(cut.rows, m - row), column, std::min(cut.columns, b.width - column), p,
                 std::min(cut.depth, k - p));
        p += cut.depth;
      } while (p < k);
    });
  }

 private:
  // A panel of A^T: rows of C from `row` on.
  struct Source {
    int64_t row = 0, rows = 0, p = 0, k = 0;
  };

  void run_pass(const Blocking& cut, int64_t row, int64_t rows, int64_t column, int64_t width, int64_t p,
                int64_t k) const {
    const int64_t room = panel_room<T>(cut.depth);
    T *const packed = scratch<T>(kSlotBlock, size_t(cut.depth * cut.columns)), *const buffers = scratch<T>(
                                                                                   kSlotPanels, size_t(2 * room));
    b.pack_columns_of(packed, p, k, column, width);
    const Panels panels(rows);
    const auto source = [&](int64_t i) { return Source{row + panels.begin(i), panels.height(i), p, k}; };
    pack(buffers, source(0), {0, k});
    for (int64_t i = 0; i < panels.count; ++i)
      run_panel(buffers + i % 2 * room, packed, source(i), column, width, buffers + (i + 1) % 2 * room,
                i + 1 < panels.count ? source(i + 1) : Source{});
  }

  void pack(T* to, const Source& s, const Stretch& part) const {
    if (s.rows > 0 && part.length() > 0)
      copy_panel(to + part.begin * kPanelStride<T>, a + (s.p + part.begin) * lda + s.row, lda, s.rows, part.length());
  }

  // The cache lines that `pack` will read.
  Ahead<T> fetch(const Source& s, const Stretch& part) const {
    if (s.rows == 0 || part.length() <= 0) return {};
    return ahead_in_columns(a + s.p * lda + s.row, lda, s.k, part);
  }

  void run_panel(const T* panel, const T* packed, const Source& s, int64_t column, int64_t width, T* to,
                 const Source& next) const {
    constexpr int tile_columns = kTileColumns<T>;
    const auto run = tile_function<T, PanelLayout::packed>(s.rows);
    const int64_t tiles = ceil_div(width, tile_columns);
    T* const row = c + s.row * b.width + column;
    for (int64_t j = 0; j < width; j += tile_columns) {
      const Stretch part = stretch<T>(next.k, j / tile_columns, tiles);
      run_any_tile<T>({.a = panel,
                       .b = packed + j * s.k,
                       .c = row + j,
                       .ldc = b.width,
                       .start = s.p > 0 ? row + j : nullptr,
                       .start_stride = s.p > 0 ? b.width : 0,
                       .k = s.k,
                       .next_c = {.at = row + (j + tile_columns < width ? j + tile_columns : s.rows * b.width),
                                  .stride = b.width,
                                  .rows = s.rows},
                       .ahead = fetch(next, part)},
                      run, s.rows, std::min<int64_t>(tile_columns, width - j));
      pack(to, next, part);
    }
  }
};

}  // namespace hinoki::kernels::HINOKI_TARGET
