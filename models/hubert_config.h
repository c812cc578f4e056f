// The sizes and switches of HuBERT (Hsu et al. 2021, arXiv 2106.07447), as transformers' HubertConfig names them.
//
//                              base (japanese-hubert-base)     large (japanese-hubert-large)
//   feat_extract_norm          "group": after conv 0 alone     "layer": after each conv
//   conv_bias                  false                           true
//   do_stable_layer_norm       false: norms behind residuals   true: norms before, and one at the end
//   hidden_size, layers        768, 12                         1024, 24
//   heads, intermediate_size   12, 3072                        16, 4096
//   feat_proj_dropout          0                               0.1
//   activation_dropout         0.1                             0
//   final_dropout              0.1                             0
//   mask_time_prob             0.05                            0.075
//
// What fairseq pretrains base with: hidden_dropout 0.1, attention_dropout 0.1, activation_dropout 0, feat_proj_dropout
// 0.1, layerdrop 0.05; large: all of them 0.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace hinoki {

// Keys are those of the Hugging Face config.json.
struct HubertModelConfig {
  int64_t hidden_size = 768;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 12;
  int64_t intermediate_size = 3072;
  std::string hidden_act = "gelu";  // of the transformer; gelu (erf), gelu_new, gelu_fast, gelu_pytorch_tanh (tanh)
  std::vector<int64_t> conv_dim = {512, 512, 512, 512, 512, 512, 512};
  std::vector<int64_t> conv_kernel = {10, 3, 3, 3, 3, 2, 2};  // one conv takes samples, each other what the last made
  std::vector<int64_t> conv_stride = {5, 2, 2, 2, 2, 2, 2};
  bool conv_bias = false;
  std::string feat_extract_norm = "group";       // group | layer
  std::string feat_extract_activation = "gelu";  // and of the position convolution; nothing else
  bool feat_proj_layer_norm = true;
  bool do_stable_layer_norm = false;
  int64_t num_conv_pos_embeddings = 128;  // taps of the position convolution
  int64_t num_conv_pos_embedding_groups = 16;
  double layer_norm_eps = 1e-5;  // the extractor's norms have 1e-5 always
  double initializer_range = 0.02;
  double feat_proj_dropout = 0;
  double hidden_dropout = 0.1;
  double activation_dropout = 0.1;
  double attention_dropout = 0.1;
  double final_dropout = 0.1;  // before the output of CTC
  double layerdrop = 0.1;
  // SpecAugment when transformers trains the model; here recipes draw masks. masked_spec_embed exists if either
  // probability is above 0.
  double mask_time_prob = 0.05;
  int64_t mask_time_length = 10;
  int64_t mask_time_min_masks = 2;
  double mask_feature_prob = 0;
  int64_t mask_feature_length = 10;
  int64_t mask_feature_min_masks = 0;

  template <class Visitor>
  void fields(Visitor& v) {
    v("hidden_size", hidden_size);
    v("num_hidden_layers", num_hidden_layers);
    v("num_attention_heads", num_attention_heads);
    v("intermediate_size", intermediate_size);
    v("hidden_act", hidden_act);
    v("conv_dim", conv_dim);
    v("conv_kernel", conv_kernel);
    v("conv_stride", conv_stride);
    v("conv_bias", conv_bias);
    v("feat_extract_norm", feat_extract_norm);
    v("feat_extract_activation", feat_extract_activation);
    v("feat_proj_layer_norm", feat_proj_layer_norm);
    v("do_stable_layer_norm", do_stable_layer_norm);
    v("num_conv_pos_embeddings", num_conv_pos_embeddings);
    v("num_conv_pos_embedding_groups", num_conv_pos_embedding_groups);
    v("layer_norm_eps", layer_norm_eps);
    v("initializer_range", initializer_range);
    v("feat_proj_dropout", feat_proj_dropout);
    v("hidden_dropout", hidden_dropout);
    v("activation_dropout", activation_dropout);
    v("attention_dropout", attention_dropout);
    v("final_dropout", final_dropout);
    v("layerdrop", layerdrop);
    v("mask_time_prob", mask_time_prob);
    v("mask_time_length", mask_time_length);
    v("mask_time_min_masks", mask_time_min_masks);
    v("mask_feature_prob", mask_feature_prob);
    v("mask_feature_length", mask_feature_length);
    v("mask_feature_min_masks", mask_feature_min_masks);
  }
  void check() const;  // Exit::usage on a contradiction

  // Frames that conv `convs` - 1 gives for so many samples, all convs by default: 10,000 samples -> 31. 0: too short.
  int64_t frames(int64_t samples, int64_t convs = -1) const;
  int64_t hop() const;            // samples from one frame to the next: 320
  int64_t least_samples() const;  // that give one frame: 400
  bool has_mask_embedding() const { return mask_time_prob > 0 || mask_feature_prob > 0; }
};

}  // namespace hinoki
