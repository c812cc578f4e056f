// Convolution in groups of few channels, by one frame at a time: a group is too narrow for vectors along its channels,
// so they go along time. Each channel becomes a row of its own, with zeros around it; the window of a tap is then a
// stretch of that row, and from tap to tap a tile's right factor moves on by one element. The gradient of the input is
// the same with taps in reverse, and that of the weight has vectors along taps.
#pragma once
#include "core/base/scratch.h"
#include "kernels/conv1d.h"
#include "kernels/cpu/window_products.h"

namespace hinoki::kernels::HINOKI_TARGET {

// The channels of an array [batch, frames, channels] as rows of `size` elements, frame t in place t + shift.
template <class T>
struct ChannelRows {
  const T* data;
  int64_t channels, size;
  const T* row(int64_t b, int64_t channel) const { return data + (b * channels + channel) * size; }
};

template <class T>
struct GroupTiles {
  Conv1dShape s;
  int64_t in, out;  // channels of a group

  static bool fits(const Conv1dShape& s) { return s.groups > 1 && s.stride == 1; }
  explicit GroupTiles(const Conv1dShape& s) : s(s), in(s.in / s.groups), out(s.out / s.groups) {}

  void forward(const Conv1d& k) const {
    const T* const weight = static_cast<const T*>(k.weight);
    convolve({.x = rows_of(k.x, s.time, s.in, s.pad_left, s.gelu_input),
              .in = in,
              .out = out,
              .weight = weight,
              .out_step = in * s.kernel,
              .in_step = s.kernel,
              .tap_step = 1,
              .frames = s.frames,
              .y = static_cast<T*>(k.y),
              .bias = static_cast<const T*>(k.bias)});
  }

  void grad_input(const Conv1dGradInput& k) const {
    const T* const last_tap = static_cast<const T*>(k.weight) + s.kernel - 1;
    convolve({.x = rows_of(k.dy, s.frames, s.out, s.kernel - 1 - s.pad_left, false),
              .in = out,
              .out = in,
              .weight = last_tap,
              .out_step = s.kernel,
              .in_step = in * s.kernel,
              .tap_step = -1,
              .frames = s.time,
              .y = static_cast<T*>(k.dx),
              .gelu_at = s.gelu_input ? static_cast<const T*>(k.x) : nullptr});
  }

  // dweight[o][c][k] = sum over b, t of dy[b][t][o] x[b][t + k][c]: tiles of `kTileRows` o and kTileColumns k.
  void grad_weight(const Conv1dGradWeight& k) const {
    const ChannelRows<T> x = rows_of(k.x, s.time, s.in, s.pad_left, s.gelu_input);
    const Panels panels(out);
    parallel(s.groups * panels.count, [&](int64_t task) {
      const int64_t g = task / panels.count, first = panels.begin(task % panels.count),
                    rows = panels.height(task % panels.count);
      const auto run = tile_function<T, PanelLayout::packed, 1>(rows);
      T* const panel = scratch<T>(kSlotPanels, size_t(panel_room<T>(s.frames)));
      T* const dweight = static_cast<T*>(k.dweight) + (g * out + first) * in * s.kernel;
      if (s.batch == 0 && !k.accumulate) std::fill_n(dweight, rows * in * s.kernel, T(0));
      for (int64_t b = 0; b < s.batch; ++b) {
        copy_panel(panel, static_cast<const T*>(k.dy) + b * s.frames * s.out + g * out + first, s.out, rows, s.frames);
        for (int64_t c = 0; c < in; ++c)
          for (int64_t tap = 0; tap < s.kernel; tap += kTileColumns<T>) {
            T* const to = dweight + c * s.kernel + tap;
            run_any_tile<T>({.a = panel,
                             .b = x.row(b, g * in + c) + tap,
                             .c = to,
                             .ldc = in * s.kernel,
                             .start = b > 0 || k.accumulate ? to : nullptr,
                             .start_stride = in * s.kernel,
                             .k = s.frames},
                            run, rows, std::min<int64_t>(kTileColumns<T>, s.kernel - tap));
          }
      }
    });
  }

 private:
  static constexpr int kSlotRows = 4;

  // y[b][t][r] = bias[r] + sum over c, tap of x[b][c][t + tap] * w(r, c, tap), in each group.
  struct Convolution {
    ChannelRows<T> x;
    int64_t in, out;  // of a group
    const T* weight;
    int64_t out_step, in_step, tap_step;  // from channel to channel and tap to tap of the weight
    int64_t frames;
    T* y;
    const T* bias = nullptr;
    const T* gelu_at = nullptr;  // laid out like y, which is multiplied by GELU's slope there
  };

  ChannelRows<T> rows_of(const void* x, int64_t frames, int64_t channels, int64_t shift, bool gelu) const {
    // Room for whole tiles of frames and taps, whichever way they go.
    const int64_t most = std::max(s.frames, s.time);
    const int64_t size = round_up(most, kTileColumns<T>) + round_up(s.kernel, kTileColumns<T>);
    T* const rows = scratch<T>(kSlotRows, size_t(s.batch * channels * size));
    constexpr int64_t some = 16;  // channels of a task: a cache line of each frame
    parallel(s.batch * ceil_div(channels, some), [&](int64_t task) {
      const int64_t across = ceil_div(channels, some), b = task / across, first = task % across * some,
                    count = std::min(some, channels - first);
      T* const to = rows + (b * channels + first) * size;
      const T* const from = static_cast<const T*>(x) + b * frames * channels + first;
      std::fill_n(to, count * size, T(0));
      for (int64_t t = std::max<int64_t>(0, -shift); t < std::min(frames, size - shift); ++t)
        for (int64_t c = 0; c < count; ++c) to[c * size + t + shift] = from[t * channels + c];
      if (gelu) apply_gelu(to, count * size);
    });
    return {rows, channels, size};
  }

  // A task has some output channels of a group. It goes through the input channels one by one: the taps that lead from
  // one to all of its own stay in the first-level cache while all frames pass by.
  void convolve(const Convolution& v) const {
    const Panels panels(v.out);
    const int64_t length = round_up(v.frames, kTileColumns<T>);
    parallel(s.groups * panels.count, [&](int64_t task) {
      const int64_t g = task / panels.count, first = panels.begin(task % panels.count),
                    rows = panels.height(task % panels.count);
      const auto run = tile_function<T, PanelLayout::packed, 1>(rows);
      T* const sums = scratch<T>(kSlotBlock, size_t(rows * s.batch * length));  // [rows][batch][length]
      T* const panel = scratch<T>(kSlotPanels, size_t(panel_room<T>(s.kernel)));
      for (int64_t r = 0; r < rows; ++r)
        std::fill_n(sums + r * s.batch * length, s.batch * length, v.bias ? v.bias[g * v.out + first + r] : T(0));
      for (int64_t c = 0; c < v.in; ++c) {
        const int64_t from = g * in * out * s.kernel + first * v.out_step + c * v.in_step;
        for (int64_t tap = 0; tap < s.kernel; ++tap)
          for (int64_t r = 0; r < rows; ++r)
            panel[tap * kPanelStride<T> + r] = v.weight[from + r * v.out_step + tap * v.tap_step];
        for (int64_t b = 0; b < s.batch; ++b)
          for (int64_t t = 0; t < length; t += kTileColumns<T>) {
            T* const at = sums + b * length + t;
            run({.a = panel,
                 .b = v.x.row(b, g * v.in + c) + t,
                 .c = at,
                 .ldc = s.batch * length,
                 .start = at,
                 .start_stride = s.batch * length,
                 .k = s.kernel});
          }
      }
      for (int64_t frame = 0; frame < s.batch * v.frames; ++frame) {
        const int64_t to = frame * s.groups * v.out + g * v.out + first,
                      at = frame / v.frames * length + frame % v.frames;
        for (int64_t r = 0; r < rows; ++r) v.y[to + r] = sums[r * s.batch * length + at];
        if (v.gelu_at) through_gelu(v.y + to, v.gelu_at + to, rows);
      }
    });
  }
};

}  // namespace hinoki::kernels::HINOKI_TARGET
