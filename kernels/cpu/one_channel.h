// Convolution of one channel, as of a waveform: y is large, and each element of it the sum of a few products. So what
// counts is that y is written once, and dy read once, at the speed of memory.
#pragma once
#include "kernels/conv1d.h"
#include "kernels/cpu/math.h"
#include "kernels/cpu/partials.h"
#include "kernels/cpu/tile.h"

namespace hinoki::kernels::HINOKI_TARGET {

template <class T>
class OneChannel {
 public:
  static bool fits(const Conv1dShape& s) { return s.in == 1 && s.groups == 1 && s.kernel <= 32; }
  explicit OneChannel(const Conv1dShape& s) : s(s) {}

  void forward(const Conv1d& k) const {
    const int64_t wide = round_up(s.out, kColumns);
    T* const weight = scratch<T>(kSlotWeight, size_t((s.kernel + 1) * wide));  // [kernel][out], then the bias
    for (int64_t o = 0; o < wide; ++o) {
      for (int64_t tap = 0; tap < s.kernel; ++tap)
        weight[tap * wide + o] = o < s.out ? static_cast<const T*>(k.weight)[o * s.kernel + tap] : T(0);
      weight[s.kernel * wide + o] = k.bias && o < s.out ? static_cast<const T*>(k.bias)[o] : T(0);
    }
    parallel_blocks(s.batch * s.frames, kFrames, [&](int64_t begin, int64_t end) {
      T* const window = scratch<T>(kSlotWindow, size_t(kFrames * (s.kernel + s.stride)));
      for (int64_t row = begin; row < end;) {
        const int64_t count = gather(static_cast<const T*>(k.x), row, end, window);
        T* const y = static_cast<T*>(k.y) + row * s.out;
        const bool streams = vector_aligned(y) && s.out % kWidth<T> == 0;
        streams ? write_all<true>(window, weight, wide, y, count) : write_all<false>(window, weight, wide, y, count);
        row += count;
      }
      end_streaming();
    });
  }

  void grad_weight(const Conv1dGradWeight& k) const {
    const auto partials =
        sum_in_blocks<T>(s.batch * s.frames, s.kernel * s.out, [&](int64_t begin, int64_t end, T* sums) {
          T* const window = scratch<T>(kSlotWindow, size_t((end - begin) * (s.kernel + s.stride)));
          for (int64_t row = begin; row < end;) {
            const int64_t count = gather(static_cast<const T*>(k.x), row, end, window);
            const T* const dy = static_cast<const T*>(k.dy) + row * s.out;
            int64_t t = 0;
            for (; t + 8 <= count; t += 8) add_frames<8>(window + t * s.stride, dy + t * s.out, sums);
            for (; t < count; ++t) add_frames<1>(window + t * s.stride, dy + t * s.out, sums);
            row += count;
          }
        });
    T* const sums = scratch<T>(kSlotWeight, size_t(s.kernel * s.out));
    finish(partials, 0, s.kernel * s.out, sums, false);
    T* const dweight = static_cast<T*>(k.dweight);
    for (int64_t i = 0; i < s.kernel * s.out; ++i) {
      const T sum = sums[i % s.kernel * s.out + i / s.kernel];
      dweight[i] = k.accumulate ? dweight[i] + sum : sum;
    }
  }

 private:
  static constexpr int kSlotWeight = 0, kSlotWindow = 1;
  static constexpr int64_t kFrames = 64, kColumns = 4 * kWidth<T>;

  // What the frames from `row` on see of x, up to `end` or the end of a row of the batch; returns how many those are.
  [[gnu::flatten]] int64_t gather(const T* x, int64_t row, int64_t end, T* window) const {
    const int64_t b = row / s.frames, t = row % s.frames, count = std::min(end - row, s.frames - t);
    const int64_t first = t * s.stride - s.pad_left, size = (count - 1) * s.stride + s.kernel;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t at = first + i;
      const T value = at >= 0 && at < s.time ? x[b * s.time + at] : T(0);
      window[i] = s.gelu_input ? gelu(value).value : value;
    }
    return count;
  }

  template <bool streams>
  void write_all(const T* window, const T* weight, int64_t wide, T* y, int64_t count) const {
    int64_t t = 0;
    for (; t + 4 <= count; t += 4) write_frames<4, streams>(window + t * s.stride, weight, wide, y + t * s.out);
    for (; t < count; ++t) write_frames<1, streams>(window + t * s.stride, weight, wide, y + t * s.out);
  }

  template <int frames, bool streams>
  void write_frames(const T* x, const T* weight, int64_t wide, T* y) const {
    for (int64_t o = 0; o < wide; o += kColumns) {
      Vector<T> sum[frames][4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
#pragma GCC unroll 4
        for (int t = 0; t < frames; ++t) sum[t][v] = load(weight + s.kernel * wide + o + v * kWidth<T>);
      for (int64_t tap = 0; tap < s.kernel; ++tap) {
        Vector<T> w[4];
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) w[v] = load(weight + tap * wide + o + v * kWidth<T>);
#pragma GCC unroll 4
        for (int t = 0; t < frames; ++t) {
          const Vector<T> sample = broadcast(x[t * s.stride + tap]);
#pragma GCC unroll 4
          for (int v = 0; v < 4; ++v) add_product<T>(sum[t][v], sample, w[v]);
        }
      }
#pragma GCC unroll 4
      for (int t = 0; t < frames; ++t) {
        if (o + kColumns <= s.out) {
#pragma GCC unroll 4
          for (int v = 0; v < 4; ++v) {
            T* const to = y + t * s.out + o + v * kWidth<T>;
            streams ? stream(to, sum[t][v]) : store(to, sum[t][v]);
          }
        } else {
          for (int64_t i = o; i < s.out; ++i) y[t * s.out + i] = sum[t][(i - o) / kWidth<T>][(i - o) % kWidth<T>];
        }
      }
    }
  }

  // sums[tap][o] += x[t stride + tap] dy[t][o], frame by frame
  template <int frames>
  void add_frames(const T* x, const T* dy, T* sums) const {
    int64_t o = 0;
    for (; o + kWidth<T> <= s.out; o += kWidth<T>) {
      Vector<T> d[frames];
#pragma GCC unroll 8
      for (int t = 0; t < frames; ++t) {
        d[t] = load(dy + t * s.out + o);
        __builtin_prefetch(dy + (t + frames) * s.out + o);
      }
      for (int64_t tap = 0; tap < s.kernel; ++tap) {
        Vector<T> sum = load(sums + tap * s.out + o);
#pragma GCC unroll 8
        for (int t = 0; t < frames; ++t) add_product<T>(sum, broadcast(x[t * s.stride + tap]), d[t]);
        store(sums + tap * s.out + o, sum);
      }
    }
    for (int64_t tap = 0; tap < s.kernel; ++tap)
      for (int64_t i = o; i < s.out; ++i)
        for (int t = 0; t < frames; ++t) sums[tap * s.out + i] += x[t * s.stride + tap] * dy[t * s.out + i];
  }

  const Conv1dShape& s;
};

}  // namespace hinoki::kernels::HINOKI_TARGET
