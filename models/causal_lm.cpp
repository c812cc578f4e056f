#include "models/causal_lm.h"

#include <utility>

#include "core/base/trace.h"
#include "core/recompute.h"

namespace hinoki {

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
