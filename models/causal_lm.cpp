#include "models/causal_lm.h"

#include "core/recompute.h"

namespace hinoki {

Tensor CausalLm::loss(const Tensor& ids, const Tensor& labels, const Tensor& segments, const Pass& pass) const {
  const Tensor x = hidden(ids, segments, pass);
  return linear_cross_entropy(reshape(x, {ids.numel(), x.size(-1)}), head(), labels.view({labels.numel()}));
}

Tensor CausalLm::residual_stream(Tensor x, const LayerNorm& first, int64_t layers, const LayerStep& step,
                                 std::vector<Tensor>* states) const {
  Tensor normed = first(x);
  for (int64_t i = 0; i < layers; ++i) {
    if (states) states->push_back(x);
    const Segment segment = [step, i](const std::vector<Tensor>& in) -> std::vector<Tensor> {
      const Normed out = step(i, in[0], in[1]);
      return {out.sum, out.normed};
    };
    const auto out = recompute == Recompute::layer ? hinoki::recompute(segment, {x, normed}) : segment({x, normed});
    x = out[0];
    normed = out[1];
  }
  if (states) states->push_back(normed);
  return normed;
}

}  // namespace hinoki
