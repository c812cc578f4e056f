// The model that a policy began as: the same weights without the adapters that learn, or a copy that nothing changes. Its
// passes are bit for bit those of the policy before its first update.
#pragma once
#include "models/causal_lm.h"
#include "train/run_config.h"

namespace hinoki {

struct ModelConfig;

class Reference {
 public:
  // `policy` lives as long. `model`: of the policy, which began from config.start_from.
  Reference(const RunConfig& config, const ModelConfig& model, const CausalLm& policy);
  ~Reference();

  // f(the reference), without gradients.
  template <class F>
  auto operator()(F f) const {
    if (own_) {
      const NoGrad no_grad;
      return f(*own_);
    }
    const WithoutAdapters off;
    return f(policy_);
  }

 private:
  const CausalLm& policy_;
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<CausalLm> own_;  // null: the policy has adapters
};

}  // namespace hinoki
