// The backward pass of attention on CUDA: statistics of the queries, then one sweep for dk and dv and one for dq
// (cuda/attention_backward.h says why two); on tensor cores for bf16, in f32 arithmetic for the rest.
#include "kernels/cuda/attention_backward.h"
#include "kernels/cuda/attention_plain.h"
#include "kernels/cuda/scratch.h"

namespace hinoki::kernels {
namespace {

template <class Condition>
bool all_rows(const AttentionGrad& call, Condition&& holds) {
  return holds(call.q) && holds(call.k) && holds(call.v) && holds(call.out) && holds(call.dout) && holds(call.dq) &&
         holds(call.dk) && holds(call.dv);
}

template <int kDim, bool kDropout>
void sweep_twice(const AttentionGrad& call, const QueryStatistics& statistics, const SegmentBounds& segments,
                 Stream stream) {
  launch_attention_backward<kDim, Side::keys, kDropout>(call, statistics, segments, stream);
  launch_attention_backward<kDim, Side::queries, kDropout>(call, statistics, segments, stream);
}

template <class T>
void run(const AttentionGrad& call, Stream stream) {
  const AttentionShape& g = call.shape;
  const bool vectors = g.dim % kVector<T> == 0 && all_rows(call, [](const auto& x) { return vector_rows<T>(x); });
  const bool tensor_cores = std::is_same_v<T, bf16> && vectors && g.dim <= kMostTensorDim &&
                            all_rows(call, [&](const auto& x) { return near_rows(x, g.kv_time); });
  if (tensor_cores)
    visit_dim(g.dim, [&]<int kDim>() {
      g.dropout > 0 ? require_shared_of_sweeps<kDim, true>(g) : require_shared_of_sweeps<kDim, false>(g);
    });
  else
    require_shared(plain_backward_bytes(g.dim), shared_by_heads(g));

  const int64_t padded = (g.kv_time + kStatisticsBlock - 1) / kStatisticsBlock * kStatisticsBlock;
  const int64_t places = g.segments ? g.batch * g.kv_time : 0, queries = g.batch * g.heads * padded;
  float* const lse = cuda_scratch<float>(stream, size_t(2 * queries + 2 * places));
  const QueryStatistics statistics{lse, lse + queries, int(padded)};
  auto* const bounds = reinterpret_cast<int32_t*>(lse + 2 * queries);
  const SegmentBounds segments = g.segments ? find_segments(g, bounds, bounds + places, stream) : SegmentBounds{};
  simt::launch(attention_statistics<T>, grid_blocks("attention_grad", queries / kStatisticsRows), kStatisticsThreads, 0,
               stream, call, lse, lse + queries, int(padded), vectors);
  if (tensor_cores) {
    visit_dim(g.dim, [&]<int kDim>() {
      if (g.dropout > 0)
        sweep_twice<kDim, true>(call, statistics, segments, stream);
      else
        sweep_twice<kDim, false>(call, statistics, segments, stream);
    });
  } else {
    launch_attention_backward_plain<T, Side::keys>(call, statistics, segments, stream);
    launch_attention_backward_plain<T, Side::queries>(call, statistics, segments, stream);
  }
}

const bool ready = attention_grad.provide(Device::cuda, [](const AttentionGrad& call, Stream stream) {
  const AttentionShape& g = call.shape;
  check_attention("attention_grad", g);
  require(g.q_time == g.kv_time, "attention_grad: ", g.q_time, " queries, ", g.kv_time, " keys: must be equal");
  all_rows(call, [](const auto& x) { return check_stride("attention_grad", x.row_stride), true; });
  if (g.batch * g.heads * g.kv_time == 0) return;
  if (g.dtype == DType::bf16)
    run<bf16>(call, stream);
  else
    run<float>(call, stream);
});

}  // namespace
}  // namespace hinoki::kernels
