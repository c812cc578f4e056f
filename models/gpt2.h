// GPT-2 (Radford et al. 2019), with the switches of transformers' GPT2LMHeadModel that rinna's models use.
#pragma once
#include "models/causal_lm.h"

namespace hinoki {

// Keys are those of the Hugging Face config.json.
struct Gpt2Config {
  int64_t vocab_size = 32000;
  int64_t n_embd = 768;
  int64_t n_layer = 12;
  int64_t n_head = 12;
  int64_t n_inner = 3072;
  int64_t n_positions = 1024;
  std::string activation_function = "gelu_new";
  double attn_pdrop = 0.1, embd_pdrop = 0.1, resid_pdrop = 0.1;
  double layer_norm_epsilon = 1e-5;
  double initializer_range = 0.02;
  bool tie_word_embeddings = true;

  template <class Visitor>
  void fields(Visitor& v) {
    v("vocab_size", vocab_size);
    v("n_embd", n_embd);
    v("n_layer", n_layer);
    v("n_head", n_head);
    v("n_inner", n_inner);
    v("n_positions", n_positions);
    v("activation_function", activation_function);
    v("attn_pdrop", attn_pdrop);
    v("embd_pdrop", embd_pdrop);
    v("resid_pdrop", resid_pdrop);
    v("layer_norm_epsilon", layer_norm_epsilon);
    v("initializer_range", initializer_range);
    v("tie_word_embeddings", tie_word_embeddings);
  }
  void check() const;
};

std::unique_ptr<CausalLm> make_gpt2(const Gpt2Config& config, Scope below, LanguageHead head);

}  // namespace hinoki
