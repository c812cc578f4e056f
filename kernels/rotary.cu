// CUDA kernel of the rotary position embedding. One row of queries and keys is turned by one block, or by a part of
// one; the row's cosines and sines stay in the L1 cache. Bound by memory: each turned value is read and written once, 4
// bytes in bf16; 85 % of the copy bandwidth is expected.
#include <algorithm>

#include "kernels/cuda/fault.h"
#include "kernels/cuda/grid.h"
#include "kernels/rotary.h"

namespace hinoki::kernels {
namespace {

template <class T>
struct Turn {
  T* data;
  const float *cos, *sin;
  const int32_t* positions;
  FaultWord bad_position;
  int64_t rows, row_stride, head_stride, query_offset, key_offset, table_rows, time, offset;
  int heads, half;
  float direction;
};

// Threads of a row share its pieces of W pairs.
template <int W, class T>
__global__ void __launch_bounds__(kMapThreads) turn_rows(Turn<T> k) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= k.rows) return;
  const int64_t position = k.positions ? k.positions[row] : row % k.time + k.offset;
  if (position < 0 || position >= k.table_rows) {
    if (threadIdx.x == 0) report_fault(k.bad_position, row, int32_t(position));
    return;
  }
  const unsigned pieces = unsigned(k.half / W), all = unsigned(k.heads) * 2 * pieces;
  for (unsigned item = threadIdx.x; item < all; item += blockDim.x) {
    const unsigned vector = item / pieces;
    const int i = int(item - vector * pieces) * W;
    T* const first = k.data + row * k.row_stride + vector / 2 * k.head_stride +
                     (vector % 2 == 0 ? k.query_offset : k.key_offset) + i;
    Raw<T, W> raw_a, raw_b;
    raw_a.load(first);
    raw_b.load(first + k.half);
    float a[W], b[W], cos[W], sin[W];
    load_wide(cos, k.cos + position * k.half + i);
    load_wide(sin, k.sin + position * k.half + i);
    raw_a.widen_to(a);
    raw_b.widen_to(b);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const float s = k.direction * sin[j], turned = a[j] * cos[j] - b[j] * s;
      b[j] = b[j] * cos[j] + a[j] * s;
      a[j] = turned;
    }
    store_narrow<W>(first, a);
    store_narrow<W>(first + k.half, b);
  }
}

const FaultKind kBadPosition{Exit::failure, [](const Fault& f) {
                               return say("rotary: position ", f.value, " of row ", f.place, " is not in a table of ",
                                          f.limit);
                             }};

template <int W, class T>
void launch_turn(const Turn<T>& k, Stream s) {
  constexpr int kWarp = simt::kWarp;
  const int64_t items = int64_t{k.heads} * 2 * (k.half / W), rounds = (items + kMapThreads - 1) / kMapThreads;
  const int64_t lanes = ((items + rounds - 1) / rounds + kWarp - 1) / kWarp * kWarp, together = kMapThreads / lanes;
  simt::launch(turn_rows<W, T>, blocks_for(k.rows, together), dim3(unsigned(lanes), unsigned(together)), 0, s, k);
}

template <class T>
void run(const Rotary& k, Stream s) {
  const Turn<T> turn{.data = static_cast<T*>(k.data),
                     .cos = static_cast<const float*>(k.cos),
                     .sin = static_cast<const float*>(k.sin),
                     .positions = k.positions,
                     .bad_position = k.positions ? fault_word(s, kBadPosition, k.table_rows) : nullptr,
                     .rows = k.rows,
                     .row_stride = k.row_stride,
                     .head_stride = k.head_stride,
                     .query_offset = k.query_offset,
                     .key_offset = k.key_offset,
                     .table_rows = k.table_rows,
                     .time = k.time,
                     .offset = k.offset,
                     .heads = int(k.heads),
                     .half = int(k.rotary_dims / 2),
                     .direction = k.inverse ? -1.0f : 1.0f};
  constexpr int W = kVector<T>;
  const bool vectors = turn.half % W == 0 && k.head_stride % W == 0 && k.query_offset % W == 0 &&
                       k.key_offset % W == 0 && vector_aligned(turn.data, k.row_stride) && vector_aligned(turn.cos) &&
                       vector_aligned(turn.sin);
  vectors ? launch_turn<W>(turn, s) : launch_turn<1>(turn, s);
}

const bool ready = rotary.provide(Device::cuda, [](const Rotary& k, Stream s) {
  require(k.rotary_dims % 2 == 0, "rotary: ", k.rotary_dims, " dimensions do not pair");
  require(k.positions || (k.time > 0 && k.offset >= 0 && k.offset + std::min(k.rows, k.time) <= k.table_rows),
          "rotary: positions up to ", k.offset + k.time, " do not fit in a table of ", k.table_rows);
  require(k.heads * k.rotary_dims < 1 << 30, "rotary: ", k.heads, " heads of ", k.rotary_dims, " dimensions");
  if (k.heads == 0 || k.rotary_dims == 0) return;
  visit_cuda_float("rotary", k.dtype, [&]<class T>() { run<T>(k, s); });
});

}  // namespace
}  // namespace hinoki::kernels
