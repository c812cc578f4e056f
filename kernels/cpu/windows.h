// Matrices whose rows are windows of longer rows: they overlap, and may reach beyond both ends, where zeros are. A
// convolution is a product with such a matrix, which exists only in the panels that tiles read.
#pragma once
#include "kernels/cpu/math.h"
#include "kernels/cpu/pack.h"

namespace hinoki::kernels::HINOKI_TARGET {

template <class T>
[[gnu::flatten]] void apply_gelu(T* x, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) x[i] = gelu(x[i]).value;
}

template <class T>
struct Windows {
  const T* data;        // [batch][size]
  int64_t size;         // elements of a row of the batch
  int64_t first, step;  // window t begins at first + t * step, which may be negative
  int64_t count;        // windows of a row of the batch
  int64_t width;        // elements of a window
  bool gelu = false;    // the matrix holds GELU of the data

  // Are windows [t, t + n) within the data?
  bool inside(int64_t t, int64_t n) const {
    return first + t * step >= 0 && first + (t + n - 1) * step + width <= size;
  }
  T at(int64_t b, int64_t t, int64_t p) const {
    const int64_t e = first + t * step + p;
    return e < 0 || e >= size ? T(0) : data[b * size + e];
  }

  // Elements [p, p + k) of windows [t, t + rows) of batch row b, as a panel.
  void pack_rows_of(T* to, int64_t b, int64_t t, int64_t rows, int64_t p, int64_t k) const {
    constexpr int64_t stride = kPanelStride<T>;
    if (inside(t, rows)) {
      const int64_t readable = inside(t, stride) ? stride : rows;
      transpose_panel(to, data + b * size + first + t * step + p, step, readable, k);
    } else {
      for (int64_t q = 0; q < k; ++q)
        for (int64_t i = 0; i < stride; ++i) to[q * stride + i] = at(b, t + std::min(i, rows - 1), p + q);
    }
    if (gelu) apply_gelu(to, stride * k);
  }

  // Columns [p, p + width) of windows [row, row + k), counted through the batch, as panels of B.
  void pack_columns_of(T* to, int64_t row, int64_t k, int64_t p, int64_t columns) const {
    constexpr int wide = kTileColumns<T>;
    for (int64_t done = 0; done < k;) {
      const int64_t b = (row + done) / count, t = (row + done) % count;
      const int64_t rows = inside(t, 1) ? run_inside(t, std::min(k - done, count - t)) : 1;
      T* const panels = to + done * wide;
      if (inside(t, 1)) {
        pack_columns(panels, wide * k, data + b * size + first + t * step + p, step, rows, columns);
      } else {
        for (int64_t j = 0; j < round_up(columns, wide); ++j)
          panels[j / wide * wide * k + j % wide] = at(b, t, p + std::min(j, columns - 1));
      }
      done += rows;
    }
    if (gelu) apply_gelu(to, round_up(columns, wide) * k);
  }

 private:
  // How many of the n windows from t on, which is inside itself, are inside.
  int64_t run_inside(int64_t t, int64_t n) const {
    return std::min(n, (size - width - first) / std::max<int64_t>(1, step) - t + 1);
  }
};

}  // namespace hinoki::kernels::HINOKI_TARGET
