// CUDA kernels of the convolution. Windows of x are written out, in the order of the weight's own layout,
// [channel][tap], and multiplied by cuBLASLt: one product for a group and some rows of the batch, with the weight as it
// is stored. Overlapping rows are no matrix to that library, and a product for each tap would round bf16 sums after
// each. The gradient of the input goes the same way back: a product, then sums over overlapping windows in the order of
// taps. A waveform (one channel, few taps) has kernels of its own, which read x and write y once. Bound by memory:
// windows are written and read once each, besides the product.
#include "kernels/conv1d.h"
#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/functions.h"
#include "kernels/gemm.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kStaged = 8192;  // elements of a window in shared memory

// One group of a convolution on the device, and some rows of the batch.
struct Part {
  int64_t time, in, frames, kernel, stride, pad_left;
  int64_t first, width;  // channels of x in this group
  int64_t channels;      // of them in a block's window
  int64_t rows;          // of the batch
};

__device__ float through(bool gelu_input, float x) { return gelu_input ? gelu(x).value : x; }

// windows[row][t][c][k] = x[row][t stride + k - pad_left][first + c]. A block has one window of `channels` channels.
template <class T>
__global__ void __launch_bounds__(kThreads) unfold(const T* x, T* windows, Part p, bool gelu_input) {
  DYNAMIC_SHARED(staged, float);  // [kernel][channels + 1]: no bank conflicts either way
  const int64_t blocks = (p.width + p.channels - 1) / p.channels, window = blockIdx.x / blocks,
                channel = blockIdx.x % blocks * p.channels;
  const int64_t row = window / p.frames, start = window % p.frames * p.stride - p.pad_left;
  const int channels = int(p.width - channel < p.channels ? p.width - channel : p.channels), pitch = channels + 1;
  const int size = channels * int(p.kernel);
  for (int i = int(threadIdx.x); i < size; i += kThreads) {
    const int k = i / channels, c = i - k * channels;
    const int64_t t = start + k;
    const bool there = t >= 0 && t < p.time;
    staged[k * pitch + c] =
        there ? through(gelu_input, widen(x[(row * p.time + t) * p.in + p.first + channel + c])) : 0.0f;
  }
  __syncthreads();
  T* const to = windows + (window * p.width + channel) * p.kernel;
  for (int i = int(threadIdx.x); i < size; i += kThreads) {
    const int c = i / int(p.kernel), k = i - c * int(p.kernel);
    to[i] = narrow<T>(staged[k * pitch + c]);
  }
}

// dx[row][t][first + c] = sum over k of windows[row][u][c][k] with u stride + k - pad_left = t, times GELU's slope at
// x, where that is given.
template <class T>
__global__ void __launch_bounds__(kThreads) fold(const float* windows, const T* x, T* dx, Part p) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= p.rows * p.time * p.width) return;
  const int64_t c = i % p.width, row = i / p.width / p.time, t = i / p.width % p.time, at = t + p.pad_left;
  float sum = 0;
  for (int64_t k = at % p.stride; k < p.kernel && k <= at; k += p.stride)
    if (const int64_t u = (at - k) / p.stride; u < p.frames)
      sum += windows[((row * p.frames + u) * p.width + c) * p.kernel + k];
  const int64_t to = (row * p.time + t) * p.in + p.first + c;
  dx[to] = narrow<T>(x ? sum * gelu(widen(x[to])).slope : sum);
}

constexpr int kTaps = 10;  // of a waveform, at most: HuBERT's
constexpr int kFramesOfBlock = 64;

struct Wave {
  int64_t batch, time, frames, out, stride, pad_left;
  int kernel;
  bool gelu_input;
};

// The samples that the `count` frames from t of row b see, in shared memory.
template <class T>
__device__ void load_samples(float* samples, const T* x, const Wave& w, int64_t b, int64_t t, int count) {
  const int64_t first = t * w.stride - w.pad_left;
  const int size = (count - 1) * int(w.stride) + w.kernel;
  for (int i = int(threadIdx.y * blockDim.x + threadIdx.x); i < size; i += int(blockDim.x * blockDim.y)) {
    const int64_t at = first + i;
    samples[i] = at >= 0 && at < w.time ? through(w.gelu_input, widen(x[b * w.time + at])) : 0.0f;
  }
}

// A thread has W channels of y, whose taps it keeps, in every eighth of a block's frames.
template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    wave_forward(const T* x, const T* weight, const T* bias, T* y, Wave w) {
  DYNAMIC_SHARED(samples, float);
  const unsigned across = unsigned(column_tiles<W>(w.out)),
                 down = unsigned((w.frames + kFramesOfBlock - 1) / kFramesOfBlock);
  const int64_t o = int64_t(blockIdx.x % across) * (kTileLanes * W) + threadIdx.x * W;
  const int64_t b = blockIdx.x / across / down, t = int64_t(blockIdx.x / across % down) * kFramesOfBlock;
  const int count = int(w.frames - t < kFramesOfBlock ? w.frames - t : kFramesOfBlock);
  load_samples(samples, x, w, b, t, count);
  float taps[kTaps][W], start[W];
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const bool there = o + i < w.out;
    start[i] = bias && there ? widen(bias[o + i]) : 0.0f;
#pragma unroll
    for (int k = 0; k < kTaps; ++k) taps[k][i] = there && k < w.kernel ? widen(weight[(o + i) * w.kernel + k]) : 0.0f;
  }
  __syncthreads();
  for (int frame = int(threadIdx.y); frame < count && o < w.out; frame += kTileWarps) {
    float sum[W];
#pragma unroll
    for (int i = 0; i < W; ++i) sum[i] = start[i];
#pragma unroll
    for (int k = 0; k < kTaps; ++k) {
      const float sample = k < w.kernel ? samples[frame * int(w.stride) + k] : 0.0f;
#pragma unroll
      for (int i = 0; i < W; ++i) sum[i] = fmaf(sample, taps[k][i], sum[i]);
    }
    store_narrow<W>(y + (b * w.frames + t + frame) * w.out + o, sum);
  }
}

constexpr int kFramesOfSum = 256;

// Partial sums of dweight over some frames of a row of the batch: partials[block][k][o]. The warps of a block have
// every eighth frame each and are added in order.
template <class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    wave_grad_weight(const T* dy, const T* x, float* partials, Wave w) {
  DYNAMIC_SHARED(samples, float);
  SHARED(of_warp, float[kTileWarps][kTileLanes + 1]);
  const unsigned across = unsigned(column_tiles<1>(w.out)),
                 down = unsigned((w.frames + kFramesOfSum - 1) / kFramesOfSum);
  const int64_t o = int64_t(blockIdx.x % across) * kTileLanes + threadIdx.x, block = blockIdx.x / across;
  const int64_t b = block / down, t = block % down * kFramesOfSum;
  const int count = int(w.frames - t < kFramesOfSum ? w.frames - t : kFramesOfSum);
  load_samples(samples, x, w, b, t, count);
  __syncthreads();
  float sums[kTaps] = {};
  for (int frame = int(threadIdx.y); frame < count && o < w.out; frame += kTileWarps) {
    const float d = widen(dy[(b * w.frames + t + frame) * w.out + o]);
#pragma unroll
    for (int k = 0; k < kTaps; ++k)
      if (k < w.kernel) sums[k] = fmaf(d, samples[frame * int(w.stride) + k], sums[k]);
  }
#pragma unroll
  for (int k = 0; k < kTaps; ++k) {
    if (k >= w.kernel) break;  // all threads alike
    of_warp[threadIdx.y][threadIdx.x] = sums[k];
    __syncthreads();
    if (threadIdx.y == 0 && o < w.out) {
      float sum = 0;
#pragma unroll
      for (int warp = 0; warp < kTileWarps; ++warp) sum += of_warp[warp][threadIdx.x];
      partials[(block * w.kernel + k) * w.out + o] = sum;
    }
    __syncthreads();
  }
}

// dweight[o][k] (+)= the sum over blocks, in order.
template <int threads>
__global__ void __launch_bounds__(threads) wave_add_blocks(const float* partials, float* dweight, int64_t blocks,
                                                           int64_t out, int64_t kernel, bool accumulate) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= out * kernel) return;
  float sum = 0;
#pragma unroll 8
  for (int64_t block = 0; block < blocks; ++block) sum += partials[block * kernel * out + i];
  float& to = dweight[i % out * kernel + i / out];
  to = accumulate ? to + sum : sum;
}

bool is_wave(const Conv1dShape& s) { return s.in == 1 && s.groups == 1 && s.kernel <= kTaps && s.stride <= kTaps; }

Wave wave_of(const Conv1dShape& s) {
  return {.batch = s.batch,
          .time = s.time,
          .frames = s.frames,
          .out = s.out,
          .stride = s.stride,
          .pad_left = s.pad_left,
          .kernel = int(s.kernel),
          .gelu_input = s.gelu_input};
}

template <class T>
void run_wave(const Conv1d& k, Stream stream) {
  const Wave w = wave_of(k.shape);
  const auto launch = [&]<int W>() {
    const int64_t blocks = w.batch * ((w.frames + kFramesOfBlock - 1) / kFramesOfBlock) * column_tiles<W>(w.out);
    const size_t shared = size_t(kFramesOfBlock * w.stride + w.kernel) * sizeof(float);
    simt::launch(wave_forward<W, T>, blocks_for(blocks, 1), tile_block(), shared, stream, static_cast<const T*>(k.x),
                 static_cast<const T*>(k.weight), static_cast<const T*>(k.bias), static_cast<T*>(k.y), w);
  };
  vector_aligned(static_cast<const T*>(k.y), w.out) ? launch.template operator()<kVector<T>>()
                                                    : launch.template operator()<1>();
}

template <class T>
void run_wave(const Conv1dGradWeight& k, Stream stream) {
  const Wave w = wave_of(k.shape);
  const int64_t blocks = w.batch * ((w.frames + kFramesOfSum - 1) / kFramesOfSum), size = w.out * w.kernel;
  float* const partials = cuda_scratch<float>(stream, size_t(std::max<int64_t>(1, blocks * size)));
  const size_t shared = size_t(kFramesOfSum * w.stride + w.kernel) * sizeof(float);
  simt::launch(wave_grad_weight<T>, blocks_for(blocks * column_tiles<1>(w.out), 1), tile_block(), shared, stream,
               static_cast<const T*>(k.dy), static_cast<const T*>(k.x), partials, w);
  simt::launch(wave_add_blocks<kThreads>, blocks_for(size, kThreads), kThreads, 0, stream, partials,
               static_cast<float*>(k.dweight), blocks, w.out, int64_t{w.kernel}, k.accumulate);
}

// body(part, group, first row of the batch) for each group and some rows at a time, at least once
template <class Body>
void for_parts(const Conv1dShape& s, Body body) {
  const int64_t some = conv1d_rows_at_a_time(s), width = s.in / s.groups;
  const int64_t channels = std::min(width, kStaged / s.kernel);
  require(channels > 0, running_kernel, ": a kernel of ", s.kernel, " taps is longer than ", kStaged);
  for (int64_t g = 0; g < s.groups; ++g) {
    int64_t b = 0;
    do {
      body(Part{.time = s.time,
                .in = s.in,
                .frames = s.frames,
                .kernel = s.kernel,
                .stride = s.stride,
                .pad_left = s.pad_left,
                .first = g * width,
                .width = width,
                .channels = channels,
                .rows = std::min(some, s.batch - b)},
           g, b);
      b += some;
    } while (b < s.batch);
  }
}

template <class T>
void write_windows(const Conv1dShape& s, const Part& p, const void* x, int64_t b, void* windows, Stream stream) {
  const int64_t blocks = p.rows * p.frames * ((p.width + p.channels - 1) / p.channels);
  simt::launch(unfold<T>, blocks_for(blocks, 1), kThreads, size_t(p.kernel * (p.channels + 1)) * sizeof(float), stream,
               static_cast<const T*>(x) + b * s.time * s.in, static_cast<T*>(windows), p, s.gelu_input);
}

template <class T>
void forward(const Conv1d& k, Stream stream) {
  const Conv1dShape& s = k.shape;
  if (is_wave(s)) return run_wave<T>(k, stream);
  for_parts(s, [&](const Part& p, int64_t g, int64_t b) {
    const int64_t out = s.out / s.groups, size = p.width * p.kernel;
    write_windows<T>(s, p, k.x, b, k.room, stream);
    gemm.run(Device::cuda, stream,
             {.a = k.room,
              .b = static_cast<const T*>(k.weight) + g * out * size,
              .c = static_cast<T*>(k.y) + b * s.frames * s.out + g * out,
              .m = p.rows * s.frames,
              .n = out,
              .k = size,
              .lda = size,
              .ldb = size,
              .ldc = s.out,
              .b_transposed = true,
              .bias = k.bias ? static_cast<const T*>(k.bias) + g * out : nullptr,
              .dtype = s.dtype});
  });
}

template <class T>
void grad_input(const Conv1dGradInput& k, Stream stream) {
  const Conv1dShape& s = k.shape;
  for_parts(s, [&](const Part& p, int64_t g, int64_t b) {
    const int64_t out = s.out / s.groups, size = p.width * p.kernel;
    gemm.run(Device::cuda, stream,
             {.a = static_cast<const T*>(k.dy) + b * s.frames * s.out + g * out,
              .b = static_cast<const T*>(k.weight) + g * out * size,
              .c = k.room,
              .m = p.rows * s.frames,
              .n = size,
              .k = out,
              .lda = s.out,
              .ldb = size,
              .ldc = size,
              .dtype = s.dtype,
              .c_dtype = DType::f32});
    const int64_t offset = b * s.time * s.in;
    simt::launch(fold<T>, blocks_for(p.rows * s.time * p.width, kThreads), kThreads, 0, stream,
                 static_cast<const float*>(k.room),
                 s.gelu_input ? static_cast<const T*>(k.x) + offset : static_cast<const T*>(nullptr),
                 static_cast<T*>(k.dx) + offset, p);
  });
}

template <class T>
void grad_weight(const Conv1dGradWeight& k, Stream stream) {
  const Conv1dShape& s = k.shape;
  if (is_wave(s)) return run_wave<T>(k, stream);
  for_parts(s, [&](const Part& p, int64_t g, int64_t b) {
    const int64_t out = s.out / s.groups, size = p.width * p.kernel;
    write_windows<T>(s, p, k.x, b, k.room, stream);
    gemm.run(Device::cuda, stream,
             {.a = static_cast<const T*>(k.dy) + b * s.frames * s.out + g * out,
              .b = k.room,
              .c = static_cast<float*>(k.dweight) + g * out * size,
              .m = out,
              .n = size,
              .k = p.rows * s.frames,
              .lda = s.out,
              .ldb = size,
              .ldc = size,
              .a_transposed = true,
              .accumulate = k.accumulate || b > 0,
              .dtype = s.dtype,
              .c_dtype = DType::f32});
  });
}

const bool ready = conv1d.provide(Device::cuda, [](const Conv1d& k, Stream s) {
  visit_cuda_float("conv1d", k.shape.dtype, [&]<class T>() { forward<T>(k, s); });
}) && conv1d_grad_input.provide(Device::cuda, [](const Conv1dGradInput& k, Stream s) {
  visit_cuda_float("conv1d_grad_input", k.shape.dtype, [&]<class T>() { grad_input<T>(k, s); });
}) && conv1d_grad_weight.provide(Device::cuda, [](const Conv1dGradWeight& k, Stream s) {
  visit_cuda_float("conv1d_grad_weight", k.shape.dtype, [&]<class T>() { grad_weight<T>(k, s); });
});

}  // namespace
}  // namespace hinoki::kernels
