// CPU kernel of strided copies.
#include "kernels/copy.h"

#include <cstring>

#include "core/base/parallel.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 16384;  // elements of a task, about

// The array as rows along its last axis, without the checks that Shape's own indexing makes.
struct Rows {
  int64_t sizes[Shape::kMaxRank], x[Shape::kMaxRank], y[Shape::kMaxRank];
  int64_t rows = 1, length = 1, x_step = 1, y_step = 1;
  int outer = 0;  // axes before the last

  explicit Rows(const Copy& k) {
    if (k.shape.rank() == 0) return;
    outer = k.shape.rank() - 1;
    for (int a = 0; a < outer; ++a) {
      sizes[a] = k.shape[a];
      x[a] = k.x_strides[a];
      y[a] = k.y_strides[a];
      rows *= sizes[a];
    }
    length = k.shape[-1];
    x_step = k.x_strides[-1];
    y_step = k.y_strides[-1];
  }
};

template <class E>
void copy_rows(const Rows& r, const E* x, E* y, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    int64_t rest = row, from = 0, to = 0;
    for (int a = r.outer - 1; a >= 0; --a) {
      from += rest % r.sizes[a] * r.x[a];
      to += rest % r.sizes[a] * r.y[a];
      rest /= r.sizes[a];
    }
    if (r.x_step == 1 && r.y_step == 1)
      std::memcpy(y + to, x + from, size_t(r.length) * sizeof(E));
    else
      for (int64_t i = 0; i < r.length; ++i) y[to + i * r.y_step] = x[from + i * r.x_step];
  }
}

template <class E>
void copy_all(const Copy& k) {
  const Rows r(k);
  if (r.length == 0) return;
  parallel_blocks(r.rows, (kBlock + r.length - 1) / r.length, [&](int64_t begin, int64_t end) {
    copy_rows(r, static_cast<const E*>(k.x), static_cast<E*>(k.y), begin, end);
  });
}

const bool ready = copy.provide(kTarget, [](const Copy& k, Stream) {
  require(k.shape.rank() == k.x_strides.rank() && k.shape.rank() == k.y_strides.rank(), "copy: shape ", k.shape,
          " with strides ", k.x_strides, " and ", k.y_strides);
  switch (k.element) {
    case 1:
      return copy_all<uint8_t>(k);
    case 2:
      return copy_all<uint16_t>(k);
    case 4:
      return copy_all<uint32_t>(k);
    case 8:
      return copy_all<uint64_t>(k);
    default:
      fail("copy: elements of ", k.element, " bytes");
  }
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
