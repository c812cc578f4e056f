// CUDA kernels of group normalization. Rows are cut into tiles of 64 frames; a tile leaves two figures for each
// channel, which are combined in the order of the tiles. Bound by memory: x is read twice and y written forward; dy and
// x are read twice and dx is written backward. 80 % of the copy bandwidth is expected.
#include "kernels/cuda/column_sums.h"
#include "kernels/group_norm.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 256;

struct Sizes {
  int64_t batch, time, channels, groups;
  const int32_t* lengths;
  __device__ int64_t length(int64_t b) const {
    const int64_t n = lengths ? lengths[b] : time;
    return n < 0 ? 0 : n > time ? time : n;
  }
};

Sizes sizes_of(const GroupNormShape& s) { return {s.batch, s.time, s.channels, s.groups, s.lengths}; }

// Where a thread works: W channels, and of a tile of a row of the batch every eighth frame of those that count.
struct Place {
  int64_t b, tile, channel, first, counts, end;  // frames [first, first + counts) count, up to end they exist
};
template <int W>
__device__ Place place_here(const Sizes& s) {
  const unsigned across = unsigned(column_tiles<W>(s.channels)), index = blockIdx.x / across,
                 tiles = unsigned(row_tiles(s.time));
  const int64_t first = int64_t(index % tiles) * kTileRows, length = s.length(index / tiles);
  const int64_t end = first + kTileRows < s.time ? first + kTileRows : s.time;
  const int64_t last = length < end ? length : end;
  return {int64_t(index / tiles),
          int64_t(index % tiles),
          int64_t(blockIdx.x % across) * (kTileLanes * W) + threadIdx.x * W,
          first,
          last > first ? last - first : 0,
          end};
}
template <int W>
dim3 places(const GroupNormShape& s) {
  return blocks_for(s.batch * row_tiles(s.time) * column_tiles<W>(s.channels), 1);
}

constexpr int kHeld = int(kTileRows) / kTileWarps;  // frames of a thread

// The sum over the warps of a block, for each thread's channels, known to all. All threads must call.
template <int W>
__device__ void sum_over_warps(float (&sums)[W]) {
  constexpr int kColumns = kTileLanes * W;
  SHARED(of_warp, float[kTileWarps][kColumns + W]);
  const auto place = [](int i) {
    const int c = int(threadIdx.x) * W + i;
    return c + c / 32;
  };
#pragma unroll
  for (int i = 0; i < W; ++i) of_warp[threadIdx.y][place(i)] = sums[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < W; ++i) {
    sums[i] = 0;
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) sums[i] += of_warp[w][place(i)];
  }
  __syncthreads();  // the next call writes again
}

// figures[b][tile][0][c] = mean, [1][c] = sum of squares of what is left without it, over the tile's frames that count.
template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps) tile_statistics(const T* x, float* figures, Sizes s) {
  const Place p = place_here<W>(s);
  const bool has_channels = p.channel < s.channels;
  float mean[W] = {}, squares[W] = {};
  Raw<T, W> raw[kHeld];
#pragma unroll
  for (int u = 0; u < kHeld; ++u)
    if (const int64_t t = threadIdx.y + u * kTileWarps; t < p.counts && has_channels)
      raw[u].load(x + (p.b * s.time + p.first + t) * s.channels + p.channel);
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    if (threadIdx.y + u * kTileWarps >= p.counts || !has_channels) break;
    float v[W];
    raw[u].widen_to(v);
#pragma unroll
    for (int i = 0; i < W; ++i) mean[i] += v[i];
  }
  sum_over_warps<W>(mean);
#pragma unroll
  for (int i = 0; i < W; ++i) mean[i] /= float(p.counts > 0 ? p.counts : 1);
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    if (threadIdx.y + u * kTileWarps >= p.counts || !has_channels) break;
    float v[W];
    raw[u].widen_to(v);
#pragma unroll
    for (int i = 0; i < W; ++i) squares[i] += (v[i] - mean[i]) * (v[i] - mean[i]);
  }
  sum_over_warps<W>(squares);
  if (threadIdx.y > 0) return;
  float* const to = figures + (p.b * row_tiles(s.time) + p.tile) * 2 * s.channels + p.channel;
#pragma unroll
  for (int i = 0; i < W; ++i) {
    if (p.channel + i >= s.channels) break;
    to[i] = mean[i];
    to[s.channels + i] = squares[i];
  }
}

// The tiles of a channel become one, in the place of its first (Chan et al. 1979).
template <int threads>
__global__ void __launch_bounds__(threads) combine_statistics(float* figures, Sizes s) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x;
  if (i >= s.batch * s.channels) return;
  const int64_t b = i / s.channels, length = s.length(b);
  float* const to = figures + b * row_tiles(s.time) * 2 * s.channels + i % s.channels;
  float mean = 0, squares = 0;
#pragma unroll 4
  for (int64_t done = 0, tile = 0; done < length; done += kTileRows, ++tile) {
    const float more = float(done + kTileRows < length ? kTileRows : length - done),
                share = more / (float(done) + more);
    const float d = to[tile * 2 * s.channels] - mean;
    mean += d * share;
    squares += to[(tile * 2 + 1) * s.channels] + d * d * (share * float(done));
  }
  to[0] = mean;
  to[s.channels] = squares;
}

// A thread has a group of a row.
template <int threads>
__global__ void __launch_bounds__(threads)
    group_statistics(const float* figures, float* mean, float* rstd, float eps, Sizes s) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x, width = s.channels / s.groups;
  if (i >= s.batch * s.groups) return;
  const int64_t b = i / s.groups, length = s.length(b);
  const float* const from = figures + b * row_tiles(s.time) * 2 * s.channels + i % s.groups * width;
  float centre = 0, sum = 0;
  for (int64_t c = 0; c < width; ++c) centre += from[c];
  centre /= float(width);
  for (int64_t c = 0; c < width; ++c)
    sum += from[s.channels + c] + float(length) * (from[c] - centre) * (from[c] - centre);
  mean[i] = centre;
  rstd[i] = length > 0 ? 1 / sqrtf(sum / float(length * width) + eps) : 1.0f;
}

// The mean and 1 / deviation of a thread's channels.
template <int W>
__device__ void load_statistics(float (&m)[W], float (&r)[W], const float* mean, const float* rstd, const Place& p,
                                const Sizes& s) {
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const bool there = p.channel + i < s.channels;
    const int64_t at = p.b * s.groups + (p.channel + i) / (s.channels / s.groups);
    m[i] = there ? mean[at] : 0.0f;
    r[i] = there ? rstd[at] : 0.0f;
  }
}

template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    apply(const T* x, const float* mean, const float* rstd, const T* weight, const T* bias, T* y, Sizes s) {
  const Place p = place_here<W>(s);
  if (p.channel >= s.channels) return;
  float m[W], r[W], scale[W], shift[W];
  load_statistics<W>(m, r, mean, rstd, p, s);
  load_wide<W>(scale, weight + p.channel);
  load_wide<W>(shift, bias + p.channel);
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    const int64_t t = threadIdx.y + u * kTileWarps, at = (p.b * s.time + p.first + t) * s.channels + p.channel;
    if (p.first + t >= p.end) break;
    float v[W] = {};
    if (t < p.counts) {
      load_wide<W>(v, x + at);
#pragma unroll
      for (int i = 0; i < W; ++i) v[i] = (v[i] - m[i]) * r[i] * scale[i] + shift[i];
    }
    store_narrow<W>(y + at, v);
  }
}

// figures[b][tile][0][c] = sum of dy, [1][c] = sum of dy h over the tile's frames that count.
template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps)
    tile_gradients(const T* dy, const T* x, const float* mean, const float* rstd, float* figures, Sizes s) {
  const Place p = place_here<W>(s);
  float m[W], r[W], sums[W] = {}, sums_h[W] = {};
  load_statistics<W>(m, r, mean, rstd, p, s);
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    const int64_t t = threadIdx.y + u * kTileWarps, at = (p.b * s.time + p.first + t) * s.channels + p.channel;
    if (t >= p.counts || p.channel >= s.channels) break;
    float d[W], v[W];
    load_wide<W>(d, dy + at);
    load_wide<W>(v, x + at);
#pragma unroll
    for (int i = 0; i < W; ++i) {
      sums[i] += d[i];
      sums_h[i] += d[i] * ((v[i] - m[i]) * r[i]);
    }
  }
  sum_over_warps<W>(sums);
  sum_over_warps<W>(sums_h);
  if (threadIdx.y > 0) return;
  float* const to = figures + (p.b * row_tiles(s.time) + p.tile) * 2 * s.channels + p.channel;
#pragma unroll
  for (int i = 0; i < W; ++i) {
    if (p.channel + i >= s.channels) break;
    to[i] = sums[i];
    to[s.channels + i] = sums_h[i];
  }
}

// The tiles of both figures of a channel become one, in the place of the first.
template <int threads>
__global__ void __launch_bounds__(threads) add_tiles_of_rows(float* figures, Sizes s) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x, both = 2 * s.channels;
  if (i >= s.batch * both) return;
  float* const to = figures + i / both * row_tiles(s.time) * both + i % both;
  float sum = 0;
#pragma unroll 8
  for (int64_t tile = 0; tile < row_tiles(s.time); ++tile) sum += to[tile * both];
  *to = sum;
}

// averages[b][g][0] = avg(dy weight), [1] = avg(dy weight h)
template <int threads, class T>
__global__ void __launch_bounds__(threads)
    group_averages(const float* figures, const T* weight, float* averages, Sizes s) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x, width = s.channels / s.groups;
  if (i >= s.batch * s.groups) return;
  const int64_t b = i / s.groups, first = i % s.groups * width, length = s.length(b);
  const float* const from = figures + b * row_tiles(s.time) * 2 * s.channels;
  float sum = 0, sum_h = 0;
  for (int64_t c = first; c < first + width; ++c) {
    const float w = widen(weight[c]);
    sum += w * from[c];
    sum_h += w * from[s.channels + c];
  }
  const float count = float((length > 0 ? length : 1) * width);
  averages[2 * i] = sum / count;
  averages[2 * i + 1] = sum_h / count;
}

// dweight and dbias: the sums over the rows of the batch, in order.
template <int threads>
__global__ void __launch_bounds__(threads)
    add_rows(const float* figures, float* dweight, float* dbias, bool accumulate, Sizes s) {
  const int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x, both = 2 * s.channels;
  float* const out = i < s.channels ? dbias : dweight;
  if (i >= both || out == nullptr) return;
  float sum = 0;
  for (int64_t b = 0; b < s.batch; ++b) sum += figures[b * row_tiles(s.time) * both + i];
  float& to = out[i % s.channels];
  to = accumulate ? to + sum : sum;
}

template <class T>
struct Backward {
  const T *dy, *x, *weight;
  const float *mean, *rstd, *averages;
  T* dx;
};

template <int W, class T>
__global__ void __launch_bounds__(kTileLanes* kTileWarps) input_gradient(Backward<T> k, Sizes s) {
  const Place p = place_here<W>(s);
  if (p.channel >= s.channels) return;
  float m[W], r[W], w[W], avg[W], avg_h[W];
  load_statistics<W>(m, r, k.mean, k.rstd, p, s);
  load_wide<W>(w, k.weight + p.channel);
#pragma unroll
  for (int i = 0; i < W; ++i) {
    const int64_t at = 2 * (p.b * s.groups + (p.channel + i) / (s.channels / s.groups));
    avg[i] = k.averages[at];
    avg_h[i] = k.averages[at + 1];
  }
#pragma unroll
  for (int u = 0; u < kHeld; ++u) {
    const int64_t t = threadIdx.y + u * kTileWarps, at = (p.b * s.time + p.first + t) * s.channels + p.channel;
    if (p.first + t >= p.end) break;
    float d[W] = {}, v[W];
    if (t < p.counts) {
      load_wide<W>(d, k.dy + at);
      load_wide<W>(v, k.x + at);
#pragma unroll
      for (int i = 0; i < W; ++i) d[i] = r[i] * (d[i] * w[i] - avg[i] - (v[i] - m[i]) * r[i] * avg_h[i]);
    }
    store_narrow<W>(k.dx + at, d);
  }
}

template <int W, class T>
void forward(const GroupNorm& k, Stream stream) {
  const Sizes s = sizes_of(k.shape);
  const T* const x = static_cast<const T*>(k.x);
  float *const mean = static_cast<float*>(k.mean), *const rstd = static_cast<float*>(k.rstd);
  const dim3 grid = places<W>(k.shape);
  const int64_t tiles = std::max<int64_t>(1, row_tiles(s.time));
  float* const figures = cuda_scratch<float>(stream, size_t(s.batch * tiles * 2 * s.channels));
  simt::launch(tile_statistics<W, T>, grid, tile_block(), 0, stream, x, figures, s);
  simt::launch(combine_statistics<kThreads>, blocks_for(s.batch * s.channels, kThreads), kThreads, 0, stream, figures,
               s);
  simt::launch(group_statistics<kThreads>, blocks_for(s.batch * s.groups, kThreads), kThreads, 0, stream, figures, mean,
               rstd, float(k.eps), s);
  simt::launch(apply<W, T>, grid, tile_block(), 0, stream, x, mean, rstd, static_cast<const T*>(k.weight),
               static_cast<const T*>(k.bias), static_cast<T*>(k.y), s);
}

template <int W, class T>
void backward(const GroupNormGrad& k, Stream stream) {
  const Sizes s = sizes_of(k.shape);
  const dim3 grid = places<W>(k.shape);
  const int64_t tiles = row_tiles(s.time), sums = s.batch * tiles * 2 * s.channels;
  float* const figures = cuda_scratch<float>(stream, size_t(sums + s.batch * s.groups * 2));
  const Backward<T> b{.dy = static_cast<const T*>(k.dy),
                      .x = static_cast<const T*>(k.x),
                      .weight = static_cast<const T*>(k.weight),
                      .mean = static_cast<const float*>(k.mean),
                      .rstd = static_cast<const float*>(k.rstd),
                      .averages = figures + sums,
                      .dx = static_cast<T*>(k.dx)};
  simt::launch(tile_gradients<W, T>, grid, tile_block(), 0, stream, b.dy, b.x, b.mean, b.rstd, figures, s);
  simt::launch(add_tiles_of_rows<kThreads>, blocks_for(s.batch * 2 * s.channels, kThreads), kThreads, 0, stream,
               figures, s);
  simt::launch(group_averages<kThreads, T>, blocks_for(s.batch * s.groups, kThreads), kThreads, 0, stream, figures,
               b.weight, figures + sums, s);
  simt::launch(add_rows<kThreads>, blocks_for(2 * s.channels, kThreads), kThreads, 0, stream, figures,
               static_cast<float*>(k.dweight), static_cast<float*>(k.dbias), k.accumulate, s);
  simt::launch(input_gradient<W, T>, grid, tile_block(), 0, stream, b, s);
}

const bool ready = group_norm.provide(Device::cuda, [](const GroupNorm& k, Stream s) {
  visit_cuda_float("group_norm", k.shape.dtype, [&]<class T>() {
    const bool vectors =
        vector_aligned(static_cast<const T*>(k.x), k.shape.channels) && vector_aligned(static_cast<const T*>(k.y)) &&
        vector_aligned(static_cast<const T*>(k.weight)) && vector_aligned(static_cast<const T*>(k.bias));
    vectors ? forward<kVector<T>, T>(k, s) : forward<1, T>(k, s);
  });
}) && group_norm_grad.provide(Device::cuda, [](const GroupNormGrad& k, Stream s) {
  visit_cuda_float("group_norm_grad", k.shape.dtype, [&]<class T>() {
    const bool vectors = vector_aligned(static_cast<const T*>(k.x), k.shape.channels) &&
                         vector_aligned(static_cast<const T*>(k.dy)) && vector_aligned(static_cast<const T*>(k.dx)) &&
                         vector_aligned(static_cast<const T*>(k.weight));
    vectors ? backward<kVector<T>, T>(k, s) : backward<1, T>(k, s);
  });
});

}  // namespace
}  // namespace hinoki::kernels
