// Sums, maxima and prefix sums over the threads of a warp or a block, combined in a fixed order; every thread gets the
// result. Blocks are one-dimensional, of whole warps, and all of their threads must call.
#pragma once
#include "kernels/cuda/simt.h"

namespace hinoki::kernels {

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Largest {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};
struct Smallest {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

__device__ inline int lane_of_warp() { return int(threadIdx.x) % simt::kWarp; }
__device__ inline int warp_of_block() { return int(threadIdx.x) / simt::kWarp; }
__device__ inline int warps_of_block() { return int(blockDim.x) / simt::kWarp; }

// `combine` is commutative to the bit, so all lanes end with the same value.
template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine) {
#pragma unroll
  for (int d = simt::kWarp / 2; d > 0; d /= 2) value = combine(value, __shfl_xor_sync(simt::kFullWarp, value, d));
  return value;
}

template <class T>
__device__ T warp_sum(T value) {
  return warp_reduce(value, Plus{});
}

// Several values at once share the barriers. `neutral` changes nothing when combined.
template <int count, class T, class Combine>
__device__ void block_reduce(T (&values)[count], Combine combine, T neutral) {
  SHARED(parts, T[count][simt::kWarp]);
#pragma unroll
  for (T& value : values) value = warp_reduce(value, combine);
  if (warps_of_block() == 1) return;
  const int lane = lane_of_warp();
#pragma unroll
  for (int i = 0; i < count; ++i)
    if (lane == 0) parts[i][warp_of_block()] = values[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < count; ++i) values[i] = warp_reduce(lane < warps_of_block() ? parts[i][lane] : neutral, combine);
  __syncthreads();  // the next call writes `parts`
}

template <int count, class T>
__device__ void block_sum(T (&values)[count]) {
  block_reduce(values, Plus{}, T(0));
}
template <class T>
__device__ T block_sum(T value) {
  T values[1] = {value};
  block_sum(values);
  return values[0];
}
template <class T>
__device__ T block_max(T value, T lowest) {
  T values[1] = {value};
  block_reduce(values, Largest{}, lowest);
  return values[0];
}
template <class T>
__device__ T block_min(T value, T highest) {
  T values[1] = {value};
  block_reduce(values, Smallest{}, highest);
  return values[0];
}

// The sum of the values of all threads before this one; `total` becomes that of all.
template <class T>
__device__ T block_sum_before(T value, T& total) {
  SHARED(parts, T[simt::kWarp]);
  const int lane = lane_of_warp(), warp = warp_of_block();
  T sum = value;
#pragma unroll
  for (int d = 1; d < simt::kWarp; d *= 2) {
    const T before = __shfl_up_sync(simt::kFullWarp, sum, d);
    if (lane >= d) sum += before;
  }
  if (lane == simt::kWarp - 1) parts[warp] = sum;
  __syncthreads();
  T warps_before = 0, all = 0;
  for (int w = 0; w < warps_of_block(); ++w) {
    if (w == warp) warps_before = all;
    all += parts[w];
  }
  __syncthreads();  // the next call writes `parts`
  total = all;
  return warps_before + sum - value;  // exact for the integers it is for
}

}  // namespace hinoki::kernels
