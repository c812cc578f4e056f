// A policy: a language model that answers, and a critic that foretells what its answers will be worth.
#pragma once
#include "models/model.h"
#include "train/ppo_config.h"

namespace hinoki {

class Policy {
 public:
  static constexpr const char* kCritic = "critic";  // what parameters of a separate critic begin with

  Policy(const PpoConfig& config, Parameters& parameters);

  // At some places of ids (i32 [batch, time]), all on the policy's device: log-probabilities of their labels and the
  // entropies there, f64 [n] on the CPU, and the values [n], of what comes from there on.
  struct Seen {
    Tensor log_probs, entropies, values;
  };
  Seen see(const Tensor& ids, const LabelledRows& answered, const Pass& pass) const;

  CausalLm& model() const { return *model_; }
  // A separate critic begins as the model does: call it when that has its weights.
  void begin_critic(Parameters& parameters) const;

 private:
  std::unique_ptr<CausalLm> model_, critic_;  // critic: null if it stands on the model's layers
  Tensor weight_, bias_;                      // [1, width], [1]: of the value
};

}  // namespace hinoki
