// CPU kernel of the nearest centre. Bound by the product: scores of a block of rows stay in the second-level cache
// until the largest is found, and are read once.
#include "kernels/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/vector.h"
#include "kernels/gemm.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

using V = Vector<float>;
constexpr int kScoreSlot = 6, kStartSlot = 7;  // the product inside uses others
constexpr int64_t kScoreBytes = 256 << 10;

// Rows in a task, by the problem's sizes alone: enough to repay packing the centres, as far as the cache has room.
int64_t rows_in_task(const Nearest& k) { return std::clamp<int64_t>(kScoreBytes / 4 / k.count / 8 * 8, 64, 512); }

struct Best {
  float score;
  int32_t at;
};

// The lowest of the largest: each lane keeps the first it has met, then lanes compare.
Best largest_of(const float* scores, int64_t count) {
  constexpr int lanes = kWidth<float>;
  Best best{-std::numeric_limits<float>::infinity(), 0};
  V most = broadcast(best.score);
  Bits<float> at{}, here{};
  for (int l = 0; l < lanes; ++l) here[l] = l;
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes, here += lanes) {
    const V v = load(scores + j);
    const auto more = v > most;
    most = more ? v : most;
    at = more ? here : at;
  }
  for (int l = 0; l < lanes; ++l)
    if (most[l] > best.score || (most[l] == best.score && at[l] < best.at)) best = {most[l], at[l]};
  for (; j < count; ++j)
    if (scores[j] > best.score) best = {scores[j], int32_t(j)};
  return best;
}

[[gnu::flatten]] float squared_norm(const float* x, int64_t size) {
  return sum_of<float>(size, [&](int64_t i) { return x[i] * x[i]; });
}

void assign(const Nearest& k, const float* starts, int64_t begin, int64_t end) {
  float* const scores = scratch<float>(kScoreSlot, size_t((end - begin) * k.count));
  gemm.run(Device::cpu, {},
           {.a = k.x + begin * k.size,
            .b = k.centres,
            .c = scores,
            .m = end - begin,
            .n = k.count,
            .k = k.size,
            .lda = k.size,
            .ldb = k.size,
            .ldc = k.count,
            .b_transposed = true,
            .bias = starts});
  for (int64_t i = begin; i < end; ++i) {
    const Best best = largest_of(scores + (i - begin) * k.count, k.count);
    k.labels[i] = best.at;
    if (k.distances) k.distances[i] = std::max(0.0f, squared_norm(k.x + i * k.size, k.size) - 2 * best.score);
  }
}

const bool ready = nearest.provide(kTarget, [](const Nearest& k, Stream) {
  require(k.count >= 1 && k.count <= std::numeric_limits<int32_t>::max(), "nearest: of ", k.count, " centres");
  float* const starts = scratch<float>(kStartSlot, size_t(k.count));
  parallel_blocks(k.count, 256, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k.size; ++p) sum += double(k.centres[j * k.size + p]) * double(k.centres[j * k.size + p]);
      starts[j] = float(-0.5 * sum);
    }
  });
  parallel_blocks(k.rows, rows_in_task(k), [&](int64_t begin, int64_t end) { assign(k, starts, begin, end); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
