// The second half of HuBERT: where frames are (a convolution over 128 of them), and a transformer that sees all of a
// recording.
#pragma once
#include <vector>

#include "models/hubert_config.h"
#include "models/layers.h"

namespace hinoki {

// gelu(conv(x)) with a wide, grouped, weight-normalised kernel.
class HubertPositions {
 public:
  HubertPositions(Scope scope, const HubertModelConfig& config);
  Tensor operator()(const Tensor& x) const;  // [batch, frames, width], both ways

 private:
  Tensor direction_, length_, bias_;  // weight_v [width, width / groups, taps], weight_g [1, 1, taps]
  int64_t groups_, taps_;
};

struct HubertLayer {
  Linear q, k, v, out;
  LayerNorm attention_norm, final_norm;
  Linear up, down;
  Gelu form;
  int64_t heads;
  double attention_dropout;
  Dropout hidden_dropout, inner_dropout, output_dropout;
  uint64_t attention_site, drop_site;

  HubertLayer(Scope scope, const HubertModelConfig& config);

  // Before dropout and residual. `segments` i32 [batch, frames]: who attends to whom.
  Tensor attend(const Tensor& x, const Tensor& segments, const Pass& pass) const;
  Tensor mlp(const Tensor& x, const Pass& pass) const;
  // LayerDrop (Fan et al. 2020): is the layer left out of this step? A function of seed, step and layer: the same on
  // every rank and in every micro-batch.
  bool dropped(double probability, const Pass& pass) const;
};

class HubertEncoder {
 public:
  HubertEncoder(Scope scope, const HubertModelConfig& config);

  // x [batch, frames, width] -> the same. `padded`: i32 [batch, frames], 1 where a frame is padding; undefined: none.
  // `states` and `layers` as in Hubert::forward.
  Tensor operator()(Tensor x, const Tensor& padded, const Pass& pass, Recompute recompute, std::vector<Tensor>* states,
                    int64_t layers) const;

 private:
  Tensor place(const Tensor& x, const Tensor& padded, const Pass& pass) const;
  Tensor post_norm_layer(const HubertLayer& layer, const Tensor& x, const Tensor& same_x, const Tensor& padded,
                         const Pass& pass, Recompute recompute) const;
  Normed pre_norm_layer(const HubertLayer& layer, const LayerNorm& next, const Normed& x, const Tensor& padded,
                        const Pass& pass, Recompute recompute) const;

  bool pre_norm_;
  double layerdrop_;
  HubertPositions positions_;
  LayerNorm norm_;  // post-norm: before the layers; pre-norm: behind them
  Dropout dropout_;
  std::vector<HubertLayer> layers_;
};

}  // namespace hinoki
