#include "models/reward_model.h"

#include <cmath>

namespace hinoki {

// The head begins as small as in Stiennon et al. 2020: rewards of about 1, for hidden states that are normed.
RewardModel::RewardModel(const ModelConfig& config, Parameters& parameters)
    : layers_(make_model(config, Scope(parameters), LanguageHead::none)),
      score_((Scope(parameters) / "score")
                 .parameter("weight", {1, config.width()}, normal_init(1 / std::sqrt(double(config.width()) + 1)))) {}

Tensor RewardModel::operator()(const Tensor& ids, const Tensor& segments, const Tensor& last, const Pass& pass) const {
  return reshape(linear(layers_->hidden_rows(ids, segments, last, pass), score_), {last.numel()});
}

}  // namespace hinoki
