#include "models/hubert_config.h"

#include "models/activation.h"
#include "models/check_size.h"

namespace hinoki {
namespace {

constexpr int64_t kMostConvs = 32, kMostTaps = 4096;

void check_convs(const HubertModelConfig& c) {
  const size_t convs = c.conv_dim.size();
  require<Exit::usage>(convs == c.conv_kernel.size() && convs == c.conv_stride.size(), "model: conv_dim, conv_kernel ",
                       "and conv_stride name ", convs, ", ", c.conv_kernel.size(), " and ", c.conv_stride.size(),
                       " convolutions; they are the same ones");
  check_size("the number of convolutions", int64_t(convs), kMostConvs);
  for (size_t i = 0; i < convs; ++i) {
    check_size("conv_dim", c.conv_dim[i], kWidest);
    check_size("conv_kernel", c.conv_kernel[i], kMostTaps);
    check_size("conv_stride", c.conv_stride[i], kMostTaps);
  }
  // So that hop and least samples of all convolutions can be counted.
  double hop = 1;
  for (const int64_t stride : c.conv_stride) hop *= double(stride);
  require<Exit::usage>(hop < double(kMostIds), "model: conv_stride makes a frame of ", hop, " samples");
  require<Exit::usage>(c.feat_extract_norm == "group" || c.feat_extract_norm == "layer", "model: feat_extract_norm \"",
                       c.feat_extract_norm, "\" is not one of group, layer");
  require<Exit::usage>(c.feat_extract_activation == "gelu", "model: feat_extract_activation \"",
                       c.feat_extract_activation, "\" is not gelu");
}

}  // namespace

void HubertModelConfig::check() const {
  check_convs(*this);
  check_size("hidden_size", hidden_size, kWidest);
  check_size("num_hidden_layers", num_hidden_layers, kMostLayers, 0);
  check_size("num_attention_heads", num_attention_heads, hidden_size);
  check_size("intermediate_size", intermediate_size, 16 * kWidest);
  check_size("num_conv_pos_embeddings", num_conv_pos_embeddings, kMostTaps);
  check_size("num_conv_pos_embedding_groups", num_conv_pos_embedding_groups, hidden_size);
  for (const auto& [name, parts] : {std::pair{"num_attention_heads", num_attention_heads},
                                    {"num_conv_pos_embedding_groups", num_conv_pos_embedding_groups}})
    require<Exit::usage>(hidden_size % parts == 0, "model: hidden_size ", hidden_size, " is not a multiple of ", name,
                         " ", parts);
  require<Exit::usage>(layer_norm_eps > 0, "model: layer_norm_eps ", layer_norm_eps, " is not above 0");
  require<Exit::usage>(initializer_range >= 0, "model: initializer_range ", initializer_range, " is below 0");
  for (const auto& [name, p] : {std::pair{"feat_proj_dropout", feat_proj_dropout},
                                {"hidden_dropout", hidden_dropout},
                                {"activation_dropout", activation_dropout},
                                {"attention_dropout", attention_dropout},
                                {"final_dropout", final_dropout},
                                {"layerdrop", layerdrop}})
    require<Exit::usage>(p >= 0 && p < 1, "model: ", name, " = ", p, " is not in [0, 1)");
  for (const auto& [name, p] : {std::pair{"mask_time_prob", mask_time_prob}, {"mask_feature_prob", mask_feature_prob}})
    require<Exit::usage>(p >= 0 && p <= 1, "model: ", name, " = ", p, " is not in [0, 1]");
  gelu_form(hidden_act);
}

int64_t HubertModelConfig::frames(int64_t samples, int64_t convs) const {
  const size_t count = convs < 0 ? conv_dim.size() : size_t(convs);
  int64_t frames = samples;
  for (size_t i = 0; i < count; ++i)
    frames = frames < conv_kernel[i] ? 0 : (frames - conv_kernel[i]) / conv_stride[i] + 1;
  return frames;
}

int64_t HubertModelConfig::hop() const {
  int64_t samples = 1;
  for (const int64_t stride : conv_stride) samples *= stride;
  return samples;
}

int64_t HubertModelConfig::least_samples() const {
  int64_t samples = 1;
  for (size_t i = conv_dim.size(); i-- > 0;) samples = (samples - 1) * conv_stride[i] + conv_kernel[i];
  return samples;
}

}  // namespace hinoki
