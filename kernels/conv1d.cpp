// CPU kernels of the convolution, by matrix products with windows of x (kernels/cpu/window_products.h): no copy of the
// windows exists. The gradient of the input is such a product, too: frames of x that have the same remainder by the
// stride see the same taps, and their windows are of dy. Groups are convolutions of their own, on a copy of their
// channels.
#include "kernels/conv1d.h"

#include "kernels/cpu/group_tiles.h"
#include "kernels/cpu/one_channel.h"
#include "kernels/cpu/window_products.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

// Scratch slots of the calling thread, beside those of the products.
enum Slot { kSlotTaps = 4, kSlotFactor, kSlotGroup, kSlotGradient };

// One group of a convolution: its channels of x and y.
struct Group {
  int64_t index, in, out;
  Group(const Conv1dShape& s, int64_t i) : index(i), in(s.in / s.groups), out(s.out / s.groups) {}
};

// Columns [first, first + width) of a matrix [rows, cols], without gaps: itself or a copy.
template <class T>
const T* columns_of(const void* matrix, int64_t rows, int64_t cols, int64_t first, int64_t width) {
  const T* const from = static_cast<const T*>(matrix);
  if (width == cols) return from;
  T* const to = scratch<T>(kSlotGroup, size_t(rows * width));
  parallel_blocks(rows, 256, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) std::copy_n(from + r * cols + first, width, to + r * width);
  });
  return to;
}

// [kernel][out][in] out of the weight's [out][in][kernel].
template <class T>
const T* taps_of(const Conv1dShape& s, const Group& g, const void* weight) {
  const int64_t rows = g.out * g.in;
  const T* const from = static_cast<const T*>(weight) + g.index * rows * s.kernel;
  T* const taps = scratch<T>(kSlotTaps, size_t(rows * s.kernel));
  parallel_blocks(rows, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t k = 0; k < s.kernel; ++k)
      for (int64_t r = begin; r < end; ++r) taps[k * rows + r] = from[r * s.kernel + k];
  });
  return taps;
}

template <class T>
Windows<T> windows_of_x(const Conv1dShape& s, const Group& g, const void* x) {
  return {.data = columns_of<T>(x, s.batch * s.time, s.in, g.index * g.in, g.in),
          .size = s.time * g.in,
          .first = -s.pad_left * g.in,
          .step = s.stride * g.in,
          .count = s.frames,
          .width = s.kernel * g.in,
          .gelu = s.gelu_input};
}

template <class T>
void forward(const Conv1d& k, const Group& g) {
  constexpr int columns = kTileColumns<T>;
  const Conv1dShape& s = k.shape;
  const int64_t width = s.kernel * g.in, panels = ceil_div(g.out, columns);
  const T* const taps = taps_of<T>(s, g, k.weight);
  T* const packed = scratch<T>(kSlotFactor, size_t(panels * columns * width));
  parallel(panels * s.kernel, [&](int64_t task) {
    const int64_t tap = task / panels, o = task % panels * columns;
    pack_rows(packed + o * width + tap * g.in * columns, 0, taps + (tap * g.out + o) * g.in, g.in, g.in,
              std::min<int64_t>(columns, g.out - o));
  });
  const int64_t first = g.index * g.out;
  WindowsTimes<T>{.a = windows_of_x<T>(s, g, k.x),
                  .b = packed,
                  .batch = s.batch,
                  .columns = g.out,
                  .c = static_cast<T*>(k.y) + first,
                  .c_batch = s.frames * s.out,
                  .ldc = s.out,
                  .bias = k.bias ? static_cast<const T*>(k.bias) + first : nullptr}
      .run();
}

// Frames t of x with (t + pad_left) % stride = remainder see taps remainder + j stride, j < taps, of frames u - j of y,
// where u = (t + pad_left) / stride: windows of `taps` frames of dy that end at u.
template <class T>
void grad_input(const Conv1dGradInput& k, const Group& g, const T* dy, const T* taps_of_weight, int64_t remainder) {
  constexpr int columns = kTileColumns<T>;
  const Conv1dShape& s = k.shape;
  const int64_t taps = remainder < s.kernel ? ceil_div(s.kernel - remainder, s.stride) : 0;
  const int64_t u = std::max<int64_t>(0, ceil_div(s.pad_left - remainder, s.stride));
  const int64_t t = u * s.stride + remainder - s.pad_left;  // the first such frame
  if (t >= s.time) return;
  const int64_t width = taps * g.out, panels = ceil_div(g.in, columns);
  T* const packed = scratch<T>(kSlotFactor, size_t(panels * columns * width));
  parallel(panels * taps, [&](int64_t task) {
    const int64_t place = task / panels, c = task % panels * columns, tap = remainder + (taps - 1 - place) * s.stride;
    pack_columns(packed + c * width + place * g.out * columns, 0, taps_of_weight + tap * g.out * g.in + c, g.in, g.out,
                 std::min<int64_t>(columns, g.in - c));
  });
  const int64_t offset = t * s.in + g.index * g.in;
  WindowsTimes<T>{.a = {.data = dy,
                        .size = s.frames * g.out,
                        .first = (u - taps + 1) * g.out,
                        .step = g.out,
                        .count = ceil_div(s.time - t, s.stride),
                        .width = width},
                  .b = packed,
                  .batch = s.batch,
                  .columns = g.in,
                  .c = static_cast<T*>(k.dx) + offset,
                  .c_batch = s.time * s.in,
                  .ldc = s.stride * s.in,
                  .gelu_at = s.gelu_input ? static_cast<const T*>(k.x) + offset : nullptr}
      .run();
}

template <class T>
void grad_input(const Conv1dGradInput& k, const Group& g) {
  const Conv1dShape& s = k.shape;
  const T* const dy = columns_of<T>(k.dy, s.batch * s.frames, s.out, g.index * g.out, g.out);
  const T* const taps = taps_of<T>(s, g, k.weight);
  for (int64_t remainder = 0; remainder < s.stride; ++remainder) grad_input(k, g, dy, taps, remainder);
}

template <class T>
void grad_weight(const Conv1dGradWeight& k, const Group& g) {
  const Conv1dShape& s = k.shape;
  const int64_t width = s.kernel * g.in;
  T* const gradient = scratch<T>(kSlotGradient, size_t(g.out * width));  // [out][kernel][in]
  TimesWindows<T>{.a = static_cast<const T*>(k.dy) + g.index * g.out,
                  .lda = s.out,
                  .m = g.out,
                  .b = windows_of_x<T>(s, g, k.x),
                  .batch = s.batch,
                  .c = gradient}
      .run();
  T* const dweight = static_cast<T*>(k.dweight) + g.index * g.out * width;
  parallel_blocks(g.out, 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin * s.kernel; row < end * s.kernel; ++row)
      for (int64_t c = 0; c < g.in; ++c) {
        T& to = dweight[row / s.kernel * width + c * s.kernel + row % s.kernel];
        to = k.accumulate ? to + gradient[row * g.in + c] : gradient[row * g.in + c];
      }
  });
}

// Calls f(group) for each.
template <class F>
void for_groups(const Conv1dShape& s, F f) {
  for (int64_t i = 0; i < s.groups; ++i) f(Group(s, i));
}

const bool ready = conv1d.provide(kTarget, [](const Conv1d& k, Stream) {
  visit_float(k.shape.dtype, [&]<class T>() {
    if (OneChannel<T>::fits(k.shape)) return OneChannel<T>(k.shape).forward(k);
    if (GroupTiles<T>::fits(k.shape)) return GroupTiles<T>(k.shape).forward(k);
    for_groups(k.shape, [&](const Group& g) { forward<T>(k, g); });
  });
}) && conv1d_grad_input.provide(kTarget, [](const Conv1dGradInput& k, Stream) {
  visit_float(k.shape.dtype, [&]<class T>() {
    if (GroupTiles<T>::fits(k.shape)) return GroupTiles<T>(k.shape).grad_input(k);
    for_groups(k.shape, [&](const Group& g) { grad_input<T>(k, g); });
  });
}) && conv1d_grad_weight.provide(kTarget, [](const Conv1dGradWeight& k, Stream) {
  visit_float(k.shape.dtype, [&]<class T>() {
    if (OneChannel<T>::fits(k.shape)) return OneChannel<T>(k.shape).grad_weight(k);
    if (GroupTiles<T>::fits(k.shape)) return GroupTiles<T>(k.shape).grad_weight(k);
    for_groups(k.shape, [&](const Group& g) { grad_weight<T>(k, g); });
  });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
