#include "models/hubert_features.h"

#include <cmath>

namespace hinoki {
namespace {

constexpr double kNormEps = 1e-5;  // of the extractor, whatever layer_norm_eps is

// PyTorch's start of a linear map: uniform in +- 1 / sqrt(inputs), weights and biases.
Init torch_uniform(int64_t inputs) {
  const double bound = 1 / std::sqrt(double(inputs));
  return uniform_init(-bound, bound);
}

}  // namespace

HubertFeatures::HubertFeatures(Scope scope, const HubertModelConfig& c) : group_norm_(c.feat_extract_norm == "group") {
  int64_t in = 1;
  for (size_t i = 0; i < c.conv_dim.size(); ++i) {
    const Scope s = scope / "conv_layers" / int64_t(i), conv = s / "conv", norm = s / "layer_norm";
    const int64_t out = c.conv_dim[i], inputs = in * c.conv_kernel[i];
    Conv layer{.weight = conv.parameter("weight", {out, in, c.conv_kernel[i]},
                                        normal_init(std::sqrt(2 / double(inputs)))),  // He et al. 2015
               .bias = c.conv_bias ? conv.parameter("bias", {out}, torch_uniform(inputs)) : Tensor(),
               .norm_weight = {},
               .norm_bias = {},
               .stride = c.conv_stride[i]};
    if (i == 0 || !group_norm_) {
      layer.norm_weight = norm.parameter("weight", {out}, ones_init());
      layer.norm_bias = norm.parameter("bias", {out}, zeros_init());
    }
    convs_.push_back(layer);
    in = out;
  }
}

Tensor HubertFeatures::operator()(const Tensor& samples, const Tensor& lengths) const {
  Tensor x = reshape(samples, {samples.size(0), samples.size(1), 1});
  for (size_t i = 0; i < convs_.size(); ++i) {
    const Conv& c = convs_[i];
    x = conv1d(x, c.weight, c.bias, {.stride = c.stride, .gelu_input = i > 0});
    if (!c.norm_weight.defined()) continue;
    x = group_norm_ ? group_norm(x, x.size(-1), c.norm_weight, c.norm_bias, kNormEps, lengths)
                    : layer_norm(x, c.norm_weight, c.norm_bias, kNormEps);
  }
  return gelu(x, Gelu::erf);
}

HubertProjection::HubertProjection(Scope scope, const HubertModelConfig& c)
    : projection_(scope / "projection", c.conv_dim.back(), c.hidden_size, torch_uniform(c.conv_dim.back()), true,
                  WeightLayout::out_in, torch_uniform(c.conv_dim.back())),
      dropout_(scope / "dropout", c.feat_proj_dropout) {
  if (c.feat_proj_layer_norm) norm_.emplace(scope / "layer_norm", c.conv_dim.back(), c.layer_norm_eps);
}

Tensor HubertProjection::operator()(const Tensor& features, const Pass& pass) const {
  return dropout_(projection_(norm_ ? (*norm_)(features) : features), pass);
}

}  // namespace hinoki
