#include "train/policy.h"

namespace hinoki {

// Values begin at zero. Exports know nothing of them.
Policy::Policy(const PpoConfig& config, Parameters& parameters)
    : model_(make_model(config.model, parameters)),
      critic_(config.policy.critic == Critic::separate
                  ? make_model(config.model, (Scope(parameters) / kCritic).training_only(), LanguageHead::none)
                  : nullptr) {
  const Scope head = (Scope(parameters) / "value_head").training_only().adapter();
  weight_ = head.parameter("weight", {1, config.model.width()}, zeros_init());
  bias_ = head.parameter("bias", {1}, zeros_init());
  model_->recompute = config.train.recompute;
  if (critic_) critic_->recompute = config.train.recompute;
}

Policy::Seen Policy::see(const Tensor& ids, const LabelledRows& answered, const Pass& pass) const {
  const Tensor x = model_->hidden_rows(ids, {}, answered.rows, pass);
  const Tensor seen_by_critic = critic_ ? critic_->hidden_rows(ids, {}, answered.rows, pass) : x;
  Seen seen;
  seen.log_probs = linear_log_probs(x, model_->head(), answered.labels, &seen.entropies);
  seen.values = reshape(linear(seen_by_critic, weight_, bias_), {answered.count()});
  return seen;
}

void Policy::begin_critic(Parameters& parameters) const {
  const std::string prefix = std::string(kCritic) + ".";
  for (const Parameter& p : parameters.all())
    if (p.name.starts_with(prefix))
      parameters.set(p, to_device(parameters.master(parameters.find(p.name.substr(prefix.size()))).detach(), Device::cpu));
}

}  // namespace hinoki
