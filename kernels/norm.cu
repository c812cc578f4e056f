// CUDA kernels of sums, norms and the search for what is not finite: a block for each chunk, which it reads once.
// Roofline: one array, 4 (f32) or 2 (bf16) bytes an element; 90 % of the copy bandwidth is expected: a thread has four
// loads of 16 bytes under way. Squares are exact in f64, whose units (half the f32 rate on an H200) are a fifth busy.
#include <climits>

#include "kernels/cuda/numbers.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/visit.h"
#include "kernels/norm.h"

namespace hinoki::kernels {
namespace {

constexpr int kThreads = 512, kUnroll = 4;

// Calls f(index in x, value) for the elements of this block's chunk that are the calling thread's.
template <bool vectors, class T, class F>
__device__ void each_of_chunk(const T* x, int64_t count, F f) {
  constexpr int kWide = vectors ? kVector<T> : 1, kStep = kThreads * kWide;
  const int64_t begin = int64_t{blockIdx.x} * kChunk, end = min(begin + kChunk, count);
  int64_t at = begin + int(threadIdx.x) * kWide;
  for (; at + (kUnroll - 1) * kStep + kWide <= end; at += kUnroll * kStep) {
    float v[kUnroll][kWide];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      if constexpr (vectors)
        load_vector(v[u], x + at + u * kStep);
      else
        v[u][0] = widen(x[at + u * kStep]);
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
#pragma unroll
      for (int j = 0; j < kWide; ++j) f(at + u * kStep + j, v[u][j]);
  }
  for (; at < end; at += kStep)
    for (int64_t i = at; i < min(at + kWide, end); ++i) f(i, widen(x[i]));
}

struct Itself {
  __device__ double operator()(float x) const { return double(x); }
};
struct Square {
  __device__ double operator()(float x) const { return double(x) * double(x); }
};

template <class T, bool vectors, class F>
__global__ void __launch_bounds__(kThreads) sum_chunk(const T* x, double* sums, int64_t count, F f) {
  double sum = 0;
  each_of_chunk<vectors>(x, count, [&](int64_t, float v) { sum += f(v); });
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class T, bool vectors>
__global__ void __launch_bounds__(kThreads) find_in_chunk(const T* x, int64_t* first, int64_t count) {
  const int64_t begin = int64_t{blockIdx.x} * kChunk;
  int found = INT_MAX;
  each_of_chunk<vectors>(x, count, [&](int64_t i, float v) {
    if ((__float_as_uint(v) & 0x7f800000u) == 0x7f800000u) found = min(found, int(i - begin));
  });
  found = block_min(found, INT_MAX);
  if (threadIdx.x == 0) first[blockIdx.x] = found == INT_MAX ? -1 : begin + found;
}

unsigned blocks_of(const char* name, int64_t count) {
  require(count >= 0 && chunks_of(count) <= INT_MAX, name, ": ", count, " elements are too many");
  return unsigned(chunks_of(count));
}

template <class F>
void run_sums(const char* name, const Sums& k, Stream stream) {
  visit_cuda_float(name, k.dtype, [&]<class T>() {
    const auto* x = static_cast<const T*>(k.x);
    const auto kernel = vector_aligned(x) ? sum_chunk<T, true, F> : sum_chunk<T, false, F>;
    simt::launch(kernel, blocks_of(name, k.count), kThreads, 0, stream, x, k.sums, k.count, F{});
  });
}

const bool ready = chunk_sums.provide(Device::cuda, [](const Sums& k, Stream stream) {
  run_sums<Itself>("chunk_sums", k, stream);
}) && squared_norms.provide(Device::cuda, [](const Sums& k, Stream stream) {
  run_sums<Square>("squared_norms", k, stream);
}) && finite_check.provide(Device::cuda, [](const FiniteCheck& k, Stream stream) {
  visit_cuda_float("finite_check", k.dtype, [&]<class T>() {
    const auto* x = static_cast<const T*>(k.x);
    const auto kernel = vector_aligned(x) ? find_in_chunk<T, true> : find_in_chunk<T, false>;
    simt::launch(kernel, blocks_of("finite_check", k.count), kThreads, 0, stream, x, k.first, k.count);
  });
});

}  // namespace
}  // namespace hinoki::kernels
