#include "models/reward_model.h"

#include <cmath>

namespace hinoki {

// The head begins as small as in Stiennon et al. 2020: rewards of about 1, for hidden states that are normed.
RewardModel::RewardModel(const ModelConfig& config, Parameters& parameters)
    : layers_(make_model(config, Scope(parameters), LanguageHead::none)),
      score_((Scope(parameters) / "score")
                 .parameter("weight", {1, config.width()}, normal_init(1 / std::sqrt(double(config.width()) + 1)))) {}

Tensor RewardModel::operator()(const Tensor& ids, const Tensor& segments, const Tensor& last, const Pass& pass) const {
  const Tensor x = layers_->hidden(ids, segments, pass);
  const Tensor ends = gather_rows(reshape(x, {ids.numel(), x.size(-1)}), last);
  return reshape(linear(ends, score_), {last.numel()});
}

}  // namespace hinoki
