// GPT-NeoX (Black et al. 2022, arXiv 2204.06745), with the switches of transformers' GPTNeoXForCausalLM.
#pragma once
#include "models/causal_lm.h"

namespace hinoki {

// Keys are those of the Hugging Face config.json.
struct GptNeoxConfig {
  int64_t vocab_size = 32000;
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  int64_t max_position_embeddings = 2048;
  std::string hidden_act = "gelu";  // gelu (erf), gelu_new, gelu_fast, gelu_pytorch_tanh (tanh)
  double rotary_pct = 1.0;
  double rotary_emb_base = 10000;
  double rope_scaling_factor = 1.0;  // linear position scaling; 1: off
  bool use_parallel_residual = false;
  bool tie_word_embeddings = false;
  bool attention_bias = true;
  double layer_norm_eps = 1e-5;
  double hidden_dropout = 0;
  double attention_dropout = 0;
  double initializer_range = 0.02;
  std::string init = "small";  // hf: normal(initializer_range); small: small_init and wang_init of gpt-neox

  template <class Visitor>
  void fields(Visitor& v) {
    v("vocab_size", vocab_size);
    v("hidden_size", hidden_size);
    v("num_hidden_layers", num_hidden_layers);
    v("num_attention_heads", num_attention_heads);
    v("intermediate_size", intermediate_size);
    v("max_position_embeddings", max_position_embeddings);
    v("hidden_act", hidden_act);
    v("rotary_pct", rotary_pct);
    v("rotary_emb_base", rotary_emb_base);
    v("rope_scaling_factor", rope_scaling_factor);
    v("use_parallel_residual", use_parallel_residual);
    v("tie_word_embeddings", tie_word_embeddings);
    v("attention_bias", attention_bias);
    v("layer_norm_eps", layer_norm_eps);
    v("hidden_dropout", hidden_dropout);
    v("attention_dropout", attention_dropout);
    v("initializer_range", initializer_range);
    v("init", init);
  }
  int64_t head_size() const { return hidden_size / num_attention_heads; }
  int64_t rotary_dims() const { return int64_t(double(head_size()) * rotary_pct); }
  void check() const;  // Exit::usage on a contradiction
};

std::unique_ptr<CausalLm> make_gpt_neox(const GptNeoxConfig& config, Scope below, LanguageHead head);

}  // namespace hinoki
