// Architecture name -> model. The one place that knows them all.
#pragma once
#include <memory>

#include "models/gpt2.h"
#include "models/gpt_neox.h"

namespace hinoki {

// The [model] table of a config: the architecture and the keys of its Hugging Face config.json.
struct ModelConfig {
  std::string architecture = "gpt_neox";  // gpt_neox | gpt2
  GptNeoxConfig gpt_neox;
  Gpt2Config gpt2;

  template <class Visitor>
  void fields(Visitor& v) {
    v("architecture", architecture);
    if (is_gpt2())
      gpt2.fields(v);
    else
      gpt_neox.fields(v);
  }
  void check() const;

  bool is_gpt2() const { return architecture == "gpt2"; }
  int64_t vocab_size() const { return is_gpt2() ? gpt2.vocab_size : gpt_neox.vocab_size; }
  int64_t max_positions() const { return is_gpt2() ? gpt2.n_positions : gpt_neox.max_position_embeddings; }
  int64_t layers() const { return is_gpt2() ? gpt2.n_layer : gpt_neox.num_hidden_layers; }
  int64_t width() const { return is_gpt2() ? gpt2.n_embd : gpt_neox.hidden_size; }
};

// `below`: where its parameters are. A model without a head of its own predicts no tokens (CausalLm::head).
std::unique_ptr<CausalLm> make_model(const ModelConfig& config, Scope below, LanguageHead head = LanguageHead::own);
inline std::unique_ptr<CausalLm> make_model(const ModelConfig& config, Parameters& parameters) {
  return make_model(config, Scope(parameters));
}

// Floating-point operations of one token, forward and backward, in sequences of `time` tokens; a multiply-add is two.
// Attention is counted in full (no causal halving), the way PyTorch's figures are counted. Weights that do not learn
// have no gradient. Logits are made for the share `predicting` of the tokens.
struct TokenCost {
  double products = 0, attention = 0;
  double total() const { return products + attention; }
};
TokenCost token_cost(const ModelConfig& config, int64_t time, bool weights_learn = true, double predicting = 1);

}  // namespace hinoki
