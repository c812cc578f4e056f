// CPU kernel of dropout.
#include "kernels/dropout.h"

#include <algorithm>

#include "core/base/parallel.h"
#include "kernels/cpu/philox_lanes.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kBlock = 16384;  // elements of a task
constexpr int kIndices = 256;      // random numbers made at a time, four from each

template <class T>
void mask(const T* x, const T* residual, T* y, const uint32_t* bits, uint32_t threshold, T factor, int64_t n) {
  if (residual) {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = residual[i] + (bits[i] >= threshold ? x[i] * factor : T(0));
  } else {
#pragma GCC ivdep
    for (int64_t i = 0; i < n; ++i) y[i] = bits[i] >= threshold ? x[i] * factor : T(0);
  }
}

// Blocks are counted from element 0 of the global batch, so that each starts at the first of four numbers.
template <class T>
void block(const Dropout& k, int64_t begin, int64_t end) {
  alignas(64) uint32_t bits[4 * kIndices];
  const auto threshold = uint32_t(std::min(k.p * 0x1p32, 4294967295.0));
  const T* const residual = static_cast<const T*>(k.residual);
  for (int64_t e = begin; e < end;) {
    const int64_t skip = e % 4, n = std::min<int64_t>(4 * kIndices - skip, end - e), i = e - k.first_index;
    philox_lanes(k.key, uint64_t(e / 4), int((skip + n + 3) / 4), bits);
    mask(static_cast<const T*>(k.x) + i, residual ? residual + i : nullptr, static_cast<T*>(k.y) + i, bits + skip,
         threshold, T(1 / (1 - k.p)), n);
    e += n;
  }
}

const bool ready = dropout.provide(kTarget, [](const Dropout& k, Stream) {
  require(0 <= k.p && k.p < 1, "dropout: probability ", k.p, " is not in [0, 1)");
  require(k.first_index >= 0, "dropout: first index ", k.first_index);
  visit_float(k.dtype, [&]<class T>() {
    parallel_blocks(k.count, kBlock,
                    [&](int64_t begin, int64_t end) { block<T>(k, k.first_index + begin, k.first_index + end); });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
