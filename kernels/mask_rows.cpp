// CPU kernels of masked rows.
#include "kernels/mask_rows.h"

#include <cstring>

#include "kernels/cpu/partials.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kRows = 32;  // of a task

template <class T>
void forward(const MaskRows& k) {
  parallel_blocks(k.rows, kRows, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* const y = static_cast<T*>(k.y) + r * k.cols;
      const T* const from = k.mask[r] ? static_cast<const T*>(k.value) : static_cast<const T*>(k.x) + r * k.cols;
      if (y != from) std::memcpy(y, from, size_t(k.cols) * sizeof(T));
    }
  });
}

template <class T>
void add_row(const T* x, T* sums, int64_t n) {
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) sums[c] += x[c];
}

template <class T>
void backward(const MaskRowsGrad& k) {
  const auto partials = sum_in_blocks<T>(k.rows, k.cols, [&](int64_t begin, int64_t end, T* sums) {
    for (int64_t r = begin; r < end; ++r) {
      const T* const dy = static_cast<const T*>(k.dy) + r * k.cols;
      T* const dx = static_cast<T*>(k.dx) + r * k.cols;
      if (k.mask[r]) {
        add_row(dy, sums, k.cols);
        std::memset(dx, 0, size_t(k.cols) * sizeof(T));
      } else if (dx != dy) {
        std::memcpy(dx, dy, size_t(k.cols) * sizeof(T));
      }
    }
  });
  finish(partials, 0, k.cols, k.dvalue, k.accumulate);
}

const bool ready = mask_rows.provide(kTarget, [](const MaskRows& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { forward<T>(k); });
}) && mask_rows_grad.provide(kTarget, [](const MaskRowsGrad& k, Stream) {
  visit_float(k.dtype, [&]<class T>() { backward<T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
