// CPU kernel that puts keys and values into a cache.
#include "kernels/cache_append.h"

#include <cstring>

#include "core/base/parallel.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int64_t kSmall = 64 << 10;  // bytes that are not worth waking anybody

const bool ready = cache_append.provide(kTarget, [](const CacheAppend& k, Stream) {
  const auto element = int64_t(size_of(k.dtype));
  const auto head = size_t(k.dim * element);
  for (int64_t b = 0; b < k.batch; ++b)
    require(0 <= k.lines[b] && k.lines[b] < k.cache_lines && 0 <= k.lengths[b] && k.lengths[b] + k.time <= k.capacity,
            "cache_append: row ", b, " goes behind ", k.lengths[b], " tokens of line ", k.lines[b], ", the cache has ",
            k.cache_lines, " lines of ", k.capacity);
  const auto copy = [&](const HeadRows& from, void* to, int64_t b, int64_t t) {
    const auto* x = static_cast<const char*>(from.data) + (b * from.batch_stride + t * from.row_stride) * element;
    auto* y = static_cast<char*>(to) + (k.lines[b] * k.heads * k.capacity + k.lengths[b] + t) * k.dim * element;
    for (int64_t h = 0; h < k.heads; ++h)
      std::memcpy(y + h * k.capacity * k.dim * element, x + h * from.head_stride * element, head);
  };
  const auto row = [&](int64_t i) {
    copy(k.k, k.keys, i / k.time, i % k.time);
    copy(k.v, k.values, i / k.time, i % k.time);
  };
  const int64_t rows = k.batch * k.time;
  if (rows * k.heads * int64_t(head) < kSmall)
    for (int64_t i = 0; i < rows; ++i) row(i);
  else
    parallel_blocks(rows, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) row(i);
    });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
