#include "train/bench_convolutions.h"

#include "kernels/conv1d.h"
#include "kernels/group_norm.h"
#include "kernels/weight_norm.h"

namespace hinoki {
namespace {

struct Arrays {
  Tensor x, weight, y, dx, dweight;
};

// Forward and both gradients. The first layer is bound by memory, and nobody wants the gradient of a waveform.
void measure_conv1d(KernelBench& bench, const std::string& name, const kernels::Conv1dShape& s) {
  const DType sums = wide(s.dtype);
  const Arrays a{.x = bench.random({s.batch, s.time, s.in}, s.dtype),
                 .weight = bench.random({s.out, s.in / s.groups, s.kernel}, s.dtype),
                 .y = bench.random({s.batch, s.frames, s.out}, s.dtype),
                 .dx = bench.room({s.batch, s.time, s.in}, s.dtype),
                 .dweight = bench.room({s.out, s.in / s.groups, s.kernel}, sums)};
  const int64_t size = bench.on_gpu() ? kernels::conv1d_room(s) : 0;
  const Tensor windows = bench.room({size}, s.dtype), back = bench.room({size}, DType::f32);
  const double flops = 2 * double(a.y.numel()) * double(s.in / s.groups * s.kernel);
  const double bytes = double(a.x.numel() + a.y.numel()) * double(size_of(s.dtype));
  const bool wave = s.in == 1;
  bench.measure(name, kernels::conv1d,
                {.shape = s, .x = a.x.data(), .weight = a.weight.data(), .y = a.y.data(), .room = windows.data()},
                s.dtype, wave ? bytes : 0, wave ? 0 : flops);
  bench.measure(name + ", dweight", kernels::conv1d_grad_weight,
                {.shape = s, .dy = a.y.data(), .x = a.x.data(), .dweight = a.dweight.data(), .room = windows.data()},
                s.dtype, wave ? bytes : 0, wave ? 0 : flops);
  if (!wave)
    bench.measure(name + ", dx", kernels::conv1d_grad_input,
                  {.shape = s,
                   .dy = a.y.data(),
                   .weight = a.weight.data(),
                   .x = a.x.data(),
                   .dx = a.dx.data(),
                   .room = back.data()},
                  s.dtype, 0, flops);
}

void measure_group_norm(KernelBench& bench, int64_t batch, int64_t time, int64_t channels, DType dtype) {
  const DType sums = wide(dtype);
  const Tensor x = bench.random({batch, time, channels}, dtype), dy = bench.random({batch, time, channels}, dtype),
               y = bench.room({batch, time, channels}, dtype), weight = bench.random({channels}, dtype),
               mean = bench.room({batch, channels}, sums), rstd = bench.room({batch, channels}, sums),
               dweight = bench.room({channels}, sums), dbias = bench.room({channels}, sums);
  const kernels::GroupNormShape s{
      .batch = batch, .time = time, .channels = channels, .groups = channels, .dtype = dtype};
  const double array = double(x.numel()) * double(size_of(dtype));
  bench.measure("group_norm", kernels::group_norm,
                {.shape = s,
                 .x = x.data(),
                 .weight = weight.data(),
                 .bias = weight.data(),
                 .y = y.data(),
                 .mean = mean.data(),
                 .rstd = rstd.data(),
                 .eps = 1e-5},
                dtype, 3 * array);
  bench.measure("group_norm_grad", kernels::group_norm_grad,
                {.shape = s,
                 .dy = dy.data(),
                 .x = x.data(),
                 .weight = weight.data(),
                 .mean = mean.data(),
                 .rstd = rstd.data(),
                 .dx = y.data(),
                 .dweight = dweight.data(),
                 .dbias = dbias.data()},
                dtype, 5 * array);
}

void measure_weight_norm(KernelBench& bench, int64_t rows, int64_t cols, DType dtype) {
  const DType sums = wide(dtype);
  const Tensor v = bench.random({rows, cols}, dtype), g = bench.random({cols}, dtype),
               w = bench.room({rows, cols}, dtype), norms = bench.room({cols}, sums),
               dw = bench.random({rows, cols}, sums), dv = bench.room({rows, cols}, sums),
               dg = bench.room({cols}, sums);
  const double count = double(v.numel()), narrow = double(size_of(dtype)), wider = double(size_of(sums));
  bench.measure(
      "weight_norm", kernels::weight_norm,
      {.v = v.data(), .g = g.data(), .w = w.data(), .norms = norms.data(), .rows = rows, .cols = cols, .dtype = dtype},
      dtype, 3 * narrow * count);
  bench.measure("weight_norm_grad", kernels::weight_norm_grad,
                {.dw = dw.data(),
                 .v = v.data(),
                 .g = g.data(),
                 .norms = norms.data(),
                 .dv = dv.data(),
                 .dg = dg.data(),
                 .rows = rows,
                 .cols = cols,
                 .dtype = dtype},
                dtype, (2 * narrow + 3 * wider) * count);
}

}  // namespace

void measure_convolutions(KernelBench& bench, DType dtype, bool tiny) {
  const int64_t batch = tiny ? 2 : 4, channels = tiny ? 16 : 512;
  constexpr int64_t kKernels[] = {10, 3, 3, 3, 3, 2, 2}, kStrides[] = {5, 2, 2, 2, 2, 2, 2};
  int64_t time = tiny ? 800 : 64000;
  for (int64_t layer = 0; layer < 7; ++layer) {
    const int64_t frames = (time - kKernels[layer]) / kStrides[layer] + 1;
    const kernels::Conv1dShape s{.batch = batch,
                                 .time = time,
                                 .in = layer > 0 ? channels : 1,
                                 .frames = frames,
                                 .out = channels,
                                 .kernel = kKernels[layer],
                                 .stride = kStrides[layer],
                                 .gelu_input = layer > 0,
                                 .dtype = dtype};
    time = frames;
    measure_conv1d(bench, say("conv1d, layer ", layer), s);
    if (layer == 0) measure_group_norm(bench, batch, time, channels, dtype);
  }
  const int64_t taps = tiny ? 4 : 128;
  for (const int64_t width : {256, 768}) {
    const int64_t of = tiny ? width / 8 : width;
    const kernels::Conv1dShape s{.batch = batch,
                                 .time = time,
                                 .in = of,
                                 .frames = time,
                                 .out = of,
                                 .kernel = taps,
                                 .groups = 16,
                                 .pad_left = taps / 2,
                                 .dtype = dtype};
    measure_conv1d(bench, say("conv1d, positional, ", width), s);
  }
  measure_weight_norm(bench, tiny ? 96 : 768 * 48, taps, dtype);
}

}  // namespace hinoki
