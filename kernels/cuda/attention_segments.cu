// Borders of segments, found once for all heads: by bisection, since ids never decrease.
#include "kernels/cuda/attention_rows.h"

namespace hinoki::kernels {
namespace {

// The first place whose id is above `id`, or not below it.
template <bool kAbove>
__device__ int first_place(const int32_t* ids, int count, int32_t id) {
  int low = 0, high = count;
  while (low < high) {
    const int middle = (low + high) / 2;
    const bool beyond = kAbove ? ids[middle] > id : ids[middle] >= id;
    if (beyond)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

__global__ void attention_segments(const int32_t* segments, int32_t* first, int32_t* end, int64_t total, int time) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= total) return;
  const int32_t* ids = segments + i / time * time;
  first[i] = first_place<false>(ids, time, segments[i]);
  end[i] = first_place<true>(ids, time, segments[i]);
}

}  // namespace

SegmentBounds find_segments(const AttentionShape& g, int32_t* first, int32_t* end, Stream stream) {
  constexpr int kThreads = 256;
  const int64_t total = g.batch * g.kv_time;
  simt::launch(attention_segments, grid_blocks("attention", (total + kThreads - 1) / kThreads), kThreads, 0, stream,
               g.segments, first, end, total, int(g.kv_time));
  return {first, end};
}

}  // namespace hinoki::kernels
