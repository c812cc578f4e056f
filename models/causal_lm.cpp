#include "models/causal_lm.h"

#include <algorithm>
#include <utility>

#include "core/base/trace.h"
#include "core/recompute.h"

namespace hinoki {

int64_t mlps_made_again(int64_t layers, int64_t tokens, int64_t inner, int64_t vocabulary, Device device) {
  if (device != Device::cpu || tokens == 0) return 0;
  const int64_t logits = std::min(tokens, loss_chunk_rows(vocabulary, device)) * vocabulary;
  return std::min(layers / 6, logits / (tokens * inner));
}

Inner CausalLm::inner_array(int64_t layer, int64_t layers, int64_t tokens, int64_t inner) const {
  if (recompute != Recompute::none || !head().defined()) return Inner::kept;
  const int64_t again = mlps_made_again(layers, tokens, inner, head().size(0), device());
  return layer < layers - again ? Inner::kept : Inner::made_again;
}

Tensor CausalLm::loss(const Tensor& ids, const Tensor& labels, const Tensor& segments, const Pass& pass) const {
  Tensor x = hidden(ids, segments, pass);
  const Trace trace("loss");
  x = reshape(x, {ids.numel(), x.size(-1)});
  return linear_cross_entropy(std::move(x), head(), labels.view({labels.numel()}));
}

Tensor CausalLm::hidden_rows(const Tensor& ids, const Tensor& segments, const Tensor& rows, const Pass& pass) const {
  const Tensor x = hidden(ids, segments, pass);
  return gather_rows(reshape(x, {ids.numel(), x.size(-1)}), rows);
}

Tensor CausalLm::loss(const Tensor& ids, const LabelledRows& labelled, const Tensor& segments, const Pass& pass) const {
  Tensor x = hidden_rows(ids, segments, labelled.rows, pass);
  const Trace trace("loss");
  return linear_cross_entropy(std::move(x), head(), labelled.labels);
}

Tensor CausalLm::from_input(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) const {
  if (recompute != Recompute::inputs) return f(x);
  return hinoki::recompute([f](const std::vector<Tensor>& in) { return std::vector{f(in[0])}; }, {x})[0];
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
    const auto out = recompute == Recompute::full ? hinoki::recompute(segment, {x, normed}) : segment({x, normed});
    x = out[0];
    normed = out[1];
  }
  if (states) states->push_back(normed);
  return normed;
}

}  // namespace hinoki
