// The first half of HuBERT: convolutions that turn 320 samples into a vector, and the way from there to the encoder's
// width.
#pragma once
#include <optional>
#include <vector>

#include "models/hubert_config.h"
#include "models/layers.h"

namespace hinoki {

// Convolutions in time with GELU (erf) behind each. "group": group norm with a group for each channel, over the row's
// real frames, behind the first one, and no other. "layer": layer norm behind each.
class HubertFeatures {
 public:
  HubertFeatures(Scope scope, const HubertModelConfig& config);

  // samples [batch, samples] -> [batch, frames, conv_dim.back()]. `lengths`: i32 [batch], frames of the first
  // convolution that are real; undefined: all. Of each convolution but the first the backward pass keeps the input
  // before GELU alone.
  Tensor operator()(const Tensor& samples, const Tensor& lengths) const;
  Device device() const { return convs_[0].weight.device(); }
  DType dtype() const { return activation_dtype(convs_[0].weight); }

 private:
  struct Conv {
    Tensor weight, bias;            // [out, in, kernel], [out]
    Tensor norm_weight, norm_bias;  // [out]; undefined: no norm
    int64_t stride;
  };
  std::vector<Conv> convs_;
  bool group_norm_;
};

// Layer norm, linear map, dropout: [batch, frames, conv_dim.back()] -> [batch, frames, width].
class HubertProjection {
 public:
  HubertProjection(Scope scope, const HubertModelConfig& config);
  Tensor operator()(const Tensor& features, const Pass& pass) const;

 private:
  std::optional<LayerNorm> norm_;
  Linear projection_;
  Dropout dropout_;
};

}  // namespace hinoki
