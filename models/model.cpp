#include "models/model.h"

namespace hinoki {

void ModelConfig::check() const {
  require<Exit::usage>(architecture == "gpt_neox" || architecture == "gpt2", "model: architecture \"", architecture,
                       "\" is not one of gpt_neox, gpt2");
  is_gpt2() ? gpt2.check() : gpt_neox.check();
}

std::unique_ptr<CausalLm> make_model(const ModelConfig& config, Scope below, LanguageHead head) {
  config.check();
  return config.is_gpt2() ? make_gpt2(config.gpt2, below, head) : make_gpt_neox(config.gpt_neox, below, head);
}

TokenCost token_cost(const ModelConfig& config, int64_t time, bool weights_learn, double predicting) {
  const double width = double(config.width()), layers = double(config.layers());
  const double inner = double(config.is_gpt2() ? config.gpt2.n_inner : config.gpt_neox.intermediate_size);
  const double weights = layers * (4 * width * width + 2 * width * inner) + predicting * double(config.vocab_size()) * width;
  return {.products = (weights_learn ? 6 : 4) * weights, .attention = 3 * layers * 4 * double(time) * width};
}

}  // namespace hinoki
