// The forward pass of attention on CUDA: tensor cores for bf16 (cuda/attention_forward.h), a pass over the cache
// for one query (attention_decode.h), and f32 arithmetic for the rest (attention_plain.h).
#include "kernels/cuda/attention_decode.h"
#include "kernels/cuda/attention_forward.h"
#include "kernels/cuda/attention_plain.h"
#include "kernels/cuda/scratch.h"

namespace hinoki::kernels {
namespace {

bool fits_tensor_cores(const Attention& call) {
  const AttentionShape& g = call.shape;
  const auto fits = [&](const auto& x) { return vector_rows<bf16>(x) && near_rows(x, g.kv_time); };
  return g.dtype == DType::bf16 && g.dim <= kMostTensorDim && g.dim % 8 == 0 && fits(call.q) && fits(call.k) &&
         fits(call.v) && fits(call.out);
}

template <class T>
void run(const Attention& call, Stream stream) {
  const AttentionShape& g = call.shape;
  const bool decode = can_decode<T>(call);
  require(!call.lengths || !g.segments, "attention: on CUDA rows of a cache with lengths have no segments");
  require(decode || (!call.lines && !call.lengths), "attention: on CUDA lines of a cache take one query a row, in whole ",
          "vectors, without dropout");
  const size_t places = g.segments ? size_t(g.batch * g.kv_time) : 0, floats = decode ? decode_floats(g) : 0;
  auto* const scratch = places + floats ? cuda_scratch<int32_t>(stream, 2 * places + floats) : nullptr;
  const SegmentBounds segments = g.segments ? find_segments(g, scratch, scratch + places, stream) : SegmentBounds{};
  if (decode)
    launch_attention_decode<T>(call, segments.first, reinterpret_cast<float*>(scratch + 2 * places), stream);
  else if (fits_tensor_cores(call))
    visit_dim(g.dim, [&]<int kDim>() {
      if (g.dropout > 0)
        launch_attention_forward<kDim, true>(call, segments, stream);
      else
        launch_attention_forward<kDim, false>(call, segments, stream);
    });
  else
    launch_attention_forward_plain<T>(call, segments, stream);
}

const bool ready = attention.provide(Device::cuda, [](const Attention& call, Stream stream) {
  const AttentionShape& g = call.shape;
  check_attention("attention", g);
  for (const int64_t stride : {call.q.row_stride, call.k.row_stride, call.v.row_stride, call.out.row_stride})
    check_stride("attention", stride);
  if (g.batch * g.heads * g.q_time == 0) return;
  if (g.dtype == DType::bf16)
    run<bf16>(call, stream);
  else
    run<float>(call, stream);
});

}  // namespace
}  // namespace hinoki::kernels
