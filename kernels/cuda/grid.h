// What one-pass kernels share: grids over many elements, and loads and stores of 16 bytes a thread wherever addresses
// allow. Each thread starts all its loads before it computes, so that enough bytes are under way to fill the memory
// bus.
#pragma once
#include "kernels/cuda/numbers.h"
#include "kernels/cuda/visit.h"
#include "kernels/kernel.h"

namespace hinoki::kernels {

constexpr int kMapThreads = 256;

// Blocks of a one-dimensional grid in which each block does `per_block` pieces of work.
inline unsigned blocks_for(int64_t work, int64_t per_block) {
  const int64_t blocks = work / per_block + (work % per_block != 0);
  require(0 <= work && blocks <= 0x7fffffff, running_kernel, ": a grid of ", blocks, " blocks is more than CUDA has");
  return unsigned(blocks);
}

// W neighbouring elements as they lie in memory: whole vectors of 16 bytes, or a single element.
template <class T, int W>
struct Raw {
  static_assert(W * sizeof(T) % 16 == 0);
  static constexpr int kParts = int(W * sizeof(T) / 16);
  uint4 part[kParts];

  __device__ void load(const T* p) {
#pragma unroll
    for (int i = 0; i < kParts; ++i) part[i] = reinterpret_cast<const uint4*>(p)[i];
  }
  __device__ void store(T* p) const {
#pragma unroll
    for (int i = 0; i < kParts; ++i) reinterpret_cast<uint4*>(p)[i] = part[i];
  }
  __device__ void widen_to(float (&x)[W]) const {
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      const uint32_t words[4] = {part[i].x, part[i].y, part[i].z, part[i].w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int at = (i * 4 + j) * int(4 / sizeof(T));
        if constexpr (sizeof(T) == 4) {
          x[at] = __uint_as_float(words[j]);
        } else if constexpr (dtype_of<T>() == DType::bf16) {
          x[at] = low_bf16(words[j]);
          x[at + 1] = high_bf16(words[j]);
        } else {
          x[at] = widen(T{uint16_t(words[j])});
          x[at + 1] = widen(T{uint16_t(words[j] >> 16)});
        }
      }
    }
  }
  __device__ void narrow_from(const float (&x)[W]) {
#pragma unroll
    for (int i = 0; i < kParts; ++i) {
      uint32_t words[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int at = (i * 4 + j) * int(4 / sizeof(T));
        if constexpr (sizeof(T) == 4)
          words[j] = __float_as_uint(x[at]);
        else
          words[j] = pack_bf16(x[at], x[at + 1]);
      }
      part[i] = make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
};

template <class T>
struct Raw<T, 1> {
  T element;
  __device__ void load(const T* p) { element = *p; }
  __device__ void store(T* p) const { *p = element; }
  __device__ void widen_to(float (&x)[1]) const { x[0] = widen(element); }
  __device__ void narrow_from(const float (&x)[1]) { element = narrow<T>(x[0]); }
};

template <int W, class T>
__device__ void load_wide(float (&x)[W], const T* p) {
  Raw<T, W> raw;
  raw.load(p);
  raw.widen_to(x);
}
template <int W, class T>
__device__ void store_narrow(T* p, const float (&x)[W]) {
  Raw<T, W> raw;
  raw.narrow_from(x);
  raw.store(p);
}

// The arrays that a map reads; N may be 0.
template <class T, int N>
struct Inputs {
  const T* array[N > 0 ? N : 1];
};

template <int N, class F, int M>
__device__ float apply(F f, const float (&x)[M]) {
  if constexpr (N == 0)
    return f();
  else if constexpr (N == 1)
    return f(x[0]);
  else if constexpr (N == 2)
    return f(x[0], x[1]);
  else
    return f(x);
}

template <int W, class In, int N>
constexpr int kMapUnroll = N <= 1 && W * sizeof(In) <= 16 ? 4 : 2;  // pieces of W elements a thread

// y[i] = f(x0[i], ...), in pieces of W elements; y may be an input. The first block also does what remains at the end.
template <int W, class In, class Out, int N, class F>
__global__ void __launch_bounds__(kMapThreads) map_elements(Inputs<In, N> in, Out* y, int64_t count, F f) {
  constexpr int kUnroll = kMapUnroll<W, In, N>, kArrays = N > 0 ? N : 1;
  const int64_t pieces = count / W, first = int64_t(blockIdx.x) * (kMapThreads * kUnroll) + threadIdx.x;
  Raw<In, W> raw[kUnroll][kArrays];
#pragma unroll
  for (int u = 0; u < kUnroll; ++u)
    if (const int64_t piece = first + u * kMapThreads; piece < pieces)
#pragma unroll
      for (int n = 0; n < N; ++n) raw[u][n].load(in.array[n] + piece * W);
#pragma unroll
  for (int u = 0; u < kUnroll; ++u)
    if (const int64_t piece = first + u * kMapThreads; piece < pieces) {
      float x[kArrays][W], result[W];
#pragma unroll
      for (int n = 0; n < N; ++n) raw[u][n].widen_to(x[n]);
#pragma unroll
      for (int i = 0; i < W; ++i) {
        float of_element[kArrays];
#pragma unroll
        for (int n = 0; n < N; ++n) of_element[n] = x[n][i];
        result[i] = apply<N>(f, of_element);
      }
      store_narrow<W>(y + piece * W, result);
    }
  if (const int64_t i = pieces * W + threadIdx.x; W > 1 && blockIdx.x == 0 && i < count) {
    float of_element[kArrays];
#pragma unroll
    for (int n = 0; n < N; ++n) of_element[n] = widen(in.array[n][i]);
    y[i] = narrow<Out>(apply<N>(f, of_element));
  }
}

// Launches the above: by vectors if all arrays are aligned, else element by element.
template <class In, class Out, int N, class F>
void launch_map(Inputs<In, N> in, Out* y, int64_t count, F f, Stream stream) {
  constexpr int W = kVector < In >> kVector<Out> ? kVector<In> : kVector<Out>;
  bool aligned = vector_aligned(y);
  for (int n = 0; n < N; ++n) aligned = aligned && vector_aligned(in.array[n]);
  if (count == 0) return;
  if (aligned) {
    const unsigned blocks = blocks_for(count / W, kMapThreads * kMapUnroll<W, In, N>);
    simt::launch(map_elements<W, In, Out, N, F>, blocks > 0 ? blocks : 1, kMapThreads, 0, stream, in, y, count, f);
  } else {
    simt::launch(map_elements<1, In, Out, N, F>, blocks_for(count, kMapThreads * kMapUnroll<1, In, N>), kMapThreads, 0,
                 stream, in, y, count, f);
  }
}

}  // namespace hinoki::kernels
