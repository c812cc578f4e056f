// HuBERTs small enough for finite differences, and something for them to hear.
#pragma once
#include "models/hubert_pretraining.h"
#include "tests/support/op_check.h"

namespace hinoki::test {

// Three convolutions of 6 samples a frame; `large`: layer norms, biases, pre-norm.
inline HubertModelConfig tiny_hubert(bool large, double dropout = 0, double layerdrop = 0) {
  return {.hidden_size = 12,
          .num_hidden_layers = 3,
          .num_attention_heads = 2,
          .intermediate_size = 20,
          .conv_dim = {4, 5, 6},
          .conv_kernel = {5, 3, 2},
          .conv_stride = {3, 2, 1},
          .conv_bias = large,
          .feat_extract_norm = large ? "layer" : "group",
          .do_stable_layer_norm = large,
          .num_conv_pos_embeddings = large ? 5 : 4,
          .num_conv_pos_embedding_groups = 3,
          .initializer_range = 0.3,
          .feat_proj_dropout = dropout,
          .hidden_dropout = dropout,
          .activation_dropout = large ? dropout : 0,
          .attention_dropout = dropout,
          .final_dropout = dropout,
          .layerdrop = layerdrop};
}

struct PretrainedHubert {
  Parameters parameters;
  HubertForPretraining model;

  explicit PretrainedHubert(const HubertModelConfig& config, DType dtype = DType::f32, uint64_t seed = 3)
      : parameters(dtype), model(config, {.classes = 7, .final_dim = 8}, Scope(parameters)) {
    parameters.allocate();
    parameters.initialize(seed);
  }
};

inline Tensor sound(const Shape& shape, uint64_t seed) { return uniform(shape, -1, 1, seed, DType::f32); }

// Rows of 83 samples, 12 frames; every second or third frame is masked.
inline HubertInput masked_sound(int64_t batch) {
  HubertInput input{.samples = sound({batch, 83}, 4)};
  input.masked_frames = integers({batch, 12}, 0, 2, 5);
  return input;
}
inline Tensor clusters_of(const HubertInput& input) { return integers(input.masked_frames.shape(), 0, 7, 6); }

}  // namespace hinoki::test
