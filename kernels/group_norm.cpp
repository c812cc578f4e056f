// CPU kernels of group normalization. Rows are cut into blocks of frames that stay in the second-level cache; each
// leaves two figures a channel, and blocks are combined in order. So x goes through memory twice forward (statistics,
// result), and dy and x twice backward, and no bit depends on threads or on other rows.
#include "kernels/group_norm.h"

#include <algorithm>
#include <cstring>

#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int kBlocksSlot = 4, kChannelsSlot = 5;
constexpr int64_t kFrames = 64;  // of a block

int64_t blocks_of(const GroupNormShape& s) { return std::max<int64_t>(1, (s.time + kFrames - 1) / kFrames); }
int64_t length_of(const GroupNormShape& s, int64_t b) {
  return s.lengths ? std::clamp<int64_t>(s.lengths[b], 0, s.time) : s.time;
}

// body(row of the batch, block, first frame, frames that count, frames that do not)
template <class Body>
void for_blocks(const GroupNormShape& s, Body body) {
  const int64_t blocks = blocks_of(s);
  parallel(s.batch * blocks, [&](int64_t task) {
    const int64_t b = task / blocks, first = task % blocks * kFrames, frames = std::min(kFrames, s.time - first);
    const int64_t count = std::clamp<int64_t>(length_of(s, b) - first, 0, frames);
    body(b, task % blocks, first, count, frames - count);
  });
}

// Mean, and the sum of squares of what is left without it, of `count` frames, for each of n channels. In two passes, as
// the difference of two sums of squares cancels when the mean is large against the deviation.
template <class T>
[[gnu::flatten]] void block_statistics(const T* x, int64_t count, int64_t n, T* mean, T* squares) {
  std::fill_n(mean, n, T(0));
  std::fill_n(squares, n, T(0));
  for (int64_t t = 0; t < count; ++t)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) mean[c] += x[t * n + c];
#pragma GCC ivdep
  for (int64_t c = 0; c < n; ++c) mean[c] *= 1 / T(count);
  for (int64_t t = 0; t < count; ++t)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const T d = x[t * n + c] - mean[c];
      squares[c] += d * d;
    }
}

// The statistics of blocks become those of all `count` frames (Chan et al. 1979), in the place of the first block's.
template <class T>
[[gnu::flatten]] void combine_blocks(T* blocks, int64_t count, int64_t n) {
  T *const mean = blocks, *const squares = blocks + n;
  for (int64_t done = kFrames, at = 1; done < count; done += kFrames, ++at) {
    const T more = T(std::min(kFrames, count - done)), share = more / (T(done) + more), weight = share * T(done);
    const T *const block_mean = blocks + at * 2 * n, *const block_squares = block_mean + n;
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      const T d = block_mean[c] - mean[c];
      mean[c] += d * share;
      squares[c] += block_squares[c] + d * d * weight;
    }
  }
}

// What a channel is multiplied by and shifted by, from its group's statistics.
template <class T>
void row_statistics(const GroupNorm& k, int64_t b, const T* channels, T* centre_and_scale) {
  const GroupNormShape& s = k.shape;
  const int64_t width = s.channels / s.groups, count = length_of(s, b);
  const T *const mean = channels, *const squares = channels + s.channels;
  for (int64_t g = 0; g < s.groups; ++g) {
    T centre = 0, sum = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) centre += mean[c];
    centre /= T(width);
    for (int64_t c = g * width; c < (g + 1) * width; ++c)
      sum += squares[c] + T(count) * (mean[c] - centre) * (mean[c] - centre);
    const T rstd = 1 / sqrt(count ? sum / T(count * width) + T(k.eps) : T(1));
    static_cast<T*>(k.mean)[b * s.groups + g] = count ? centre : T(0);
    static_cast<T*>(k.rstd)[b * s.groups + g] = rstd;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      centre_and_scale[c] = centre;
      centre_and_scale[s.channels + c] = rstd * static_cast<const T*>(k.weight)[c];
    }
  }
}

// y is too large for the caches by the time it is complete.
template <class T>
void normalize_streaming(const T* x, const T* centre_and_scale, const T* bias, T* y, int64_t count, int64_t n) {
  const T *const centre = centre_and_scale, *const scale = centre_and_scale + n;
  for (int64_t t = 0; t < count; ++t)
    for (int64_t c = 0; c < n; c += kWidth<T>)
      stream(y + t * n + c, fma((load(x + t * n + c) - load(centre + c)), load(scale + c), load(bias + c)));
  end_streaming();
}

template <class T>
[[gnu::flatten]] void normalize(const T* x, const T* centre_and_scale, const T* bias, T* y, int64_t count, int64_t n) {
  const T *const centre = centre_and_scale, *const scale = centre_and_scale + n;
  for (int64_t t = 0; t < count; ++t)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) y[t * n + c] = (x[t * n + c] - centre[c]) * scale[c] + bias[c];
}

template <class T>
void forward(const GroupNorm& k) {
  const GroupNormShape& s = k.shape;
  const int64_t n = s.channels, blocks = blocks_of(s);
  const T* const x = static_cast<const T*>(k.x);
  T* const of_blocks = scratch<T>(kBlocksSlot, size_t(s.batch * blocks * 2 * n));
  T* const of_rows = scratch<T>(kChannelsSlot, size_t(s.batch * 2 * n));
  for_blocks(s, [&](int64_t b, int64_t block, int64_t first, int64_t count, int64_t) {
    T* const to = of_blocks + (b * blocks + block) * 2 * n;
    if (count > 0) block_statistics(x + (b * s.time + first) * n, count, n, to, to + n);
  });
  parallel(s.batch, [&](int64_t b) {
    if (length_of(s, b) == 0) std::fill_n(of_blocks + b * blocks * 2 * n, 2 * n, T(0));
    combine_blocks(of_blocks + b * blocks * 2 * n, length_of(s, b), n);
    row_statistics(k, b, of_blocks + b * blocks * 2 * n, of_rows + b * 2 * n);
  });
  for_blocks(s, [&](int64_t b, int64_t, int64_t first, int64_t count, int64_t rest) {
    const int64_t at = (b * s.time + first) * n;
    T* const y = static_cast<T*>(k.y) + at;
    const bool streams = n % kWidth<T> == 0 && vector_aligned(y);
    (streams ? normalize_streaming<T> : normalize<T>)(x + at, of_rows + b * 2 * n, static_cast<const T*>(k.bias), y,
                                                      count, n);
    std::fill_n(y + count * n, rest * n, T(0));
  });
}

// sums[c] = sum of dy, sums[n + c] = sum of dy h over the frames of a block; statistics of channels.
template <class T>
[[gnu::flatten]] void block_sums(const T* dy, const T* x, const T* mean, const T* rstd, int64_t count, int64_t n,
                                 T* sums) {
  std::fill_n(sums, 2 * n, T(0));
  for (int64_t t = 0; t < count; ++t)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c) {
      sums[c] += dy[t * n + c];
      sums[n + c] += dy[t * n + c] * ((x[t * n + c] - mean[c]) * rstd[c]);
    }
}

template <class T>
[[gnu::flatten]] void add(const T* from, T* to, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] += from[i];
}

// dx = dy a + x b + c, with three factors for each channel.
template <class T>
[[gnu::flatten]] void input_gradient(const T* dy, const T* x, const T* factors, T* dx, int64_t count, int64_t n) {
  const T *const a = factors, *const slope = factors + n, *const shift = factors + 2 * n, *const mean = factors + 3 * n;
  for (int64_t t = 0; t < count; ++t)
#pragma GCC ivdep
    for (int64_t c = 0; c < n; ++c)
      dx[t * n + c] = dy[t * n + c] * a[c] - ((x[t * n + c] - mean[c]) * slope[c] + shift[c]);
}

// From the sums of a row to what its frames need.
template <class T>
void row_factors(const GroupNormGrad& k, int64_t b, const T* sums, T* factors) {
  const GroupNormShape& s = k.shape;
  const int64_t n = s.channels, width = n / s.groups, count = std::max<int64_t>(1, length_of(s, b)) * width;
  const T* const weight = static_cast<const T*>(k.weight);
  for (int64_t g = 0; g < s.groups; ++g) {
    T sum = 0, sum_h = 0;
    for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += weight[c] * sums[c], sum_h += weight[c] * sums[n + c];
    const T rstd = static_cast<const T*>(k.rstd)[b * s.groups + g];
    for (int64_t c = g * width; c < (g + 1) * width; ++c) {
      factors[c] = weight[c] * rstd;
      factors[n + c] = rstd * rstd * (sum_h / T(count));
      factors[2 * n + c] = rstd * (sum / T(count));
      factors[3 * n + c] = static_cast<const T*>(k.mean)[b * s.groups + g];
    }
  }
}

template <class T>
void backward(const GroupNormGrad& k) {
  const GroupNormShape& s = k.shape;
  const int64_t n = s.channels, width = n / s.groups, blocks = blocks_of(s);
  const T *const x = static_cast<const T*>(k.x), *const dy = static_cast<const T*>(k.dy);
  T* const of_blocks = scratch<T>(kBlocksSlot, size_t(s.batch * blocks * 2 * n));
  T* const of_rows = scratch<T>(kChannelsSlot, size_t(s.batch * 4 * n));
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t c = 0; c < n; ++c) {
      of_rows[b * 4 * n + c] = static_cast<const T*>(k.mean)[b * s.groups + c / width];
      of_rows[b * 4 * n + n + c] = static_cast<const T*>(k.rstd)[b * s.groups + c / width];
    }
  for_blocks(s, [&](int64_t b, int64_t block, int64_t first, int64_t count, int64_t) {
    const int64_t at = (b * s.time + first) * n;
    const T* const statistics = of_rows + b * 4 * n;
    block_sums(dy + at, x + at, statistics, statistics + n, count, n, of_blocks + (b * blocks + block) * 2 * n);
  });
  parallel(s.batch, [&](int64_t b) {
    T* const sums = of_blocks + b * blocks * 2 * n;
    for (int64_t block = 1; block < blocks; ++block) add(sums + block * 2 * n, sums, 2 * n);
    row_factors(k, b, sums, of_rows + b * 4 * n);
  });
  for (const bool weight : {false, true}) {
    T* const to = static_cast<T*>(weight ? k.dweight : k.dbias);
    if (to == nullptr) continue;
    if (!k.accumulate) std::fill_n(to, n, T(0));
    for (int64_t b = 0; b < s.batch; ++b) add(of_blocks + b * blocks * 2 * n + (weight ? n : 0), to, n);
  }
  for_blocks(s, [&](int64_t b, int64_t, int64_t first, int64_t count, int64_t rest) {
    const int64_t at = (b * s.time + first) * n;
    T* const dx = static_cast<T*>(k.dx) + at;
    input_gradient(dy + at, x + at, of_rows + b * 4 * n, dx, count, n);
    std::fill_n(dx + count * n, rest * n, T(0));
  });
}

const bool ready = group_norm.provide(kTarget, [](const GroupNorm& k, Stream) {
  visit_float(k.shape.dtype, [&]<class T>() { forward<T>(k); });
}) && group_norm_grad.provide(kTarget, [](const GroupNormGrad& k, Stream) {
  visit_float(k.shape.dtype, [&]<class T>() { backward<T>(k); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
