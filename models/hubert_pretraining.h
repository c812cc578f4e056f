// What HuBERT is pretrained with: to tell the cluster of frames that it cannot see.
#pragma once
#include "models/hubert.h"

namespace hinoki {

struct HubertTargets {
  int64_t classes = 100;        // clusters
  int64_t final_dim = 256;      // of the space in which frames meet clusters; fairseq: base 256, large 768
  double temperature = 0.1;     // logits are cosines over it
  double feature_penalty = 10;  // of the mean square of the extractor's output

  template <class Visitor>
  void fields(Visitor& v) {
    v("classes", classes);
    v("final_dim", final_dim);
    v("temperature", temperature);
    v("feature_penalty", feature_penalty);
  }
  void check() const;  // Exit::usage on a contradiction
};

class HubertForPretraining {
 public:
  // The HubertModel's parameters below `scope`, and final_proj.weight [final_dim, width], final_proj.bias,
  // label_embeddings [classes, final_dim], which serve training alone: snapshots keep them in state/.
  HubertForPretraining(const HubertModelConfig& config, const HubertTargets& targets, Scope scope);

  // labels i32 [batch, frames] in host memory: the cluster of each frame; -100: none, as in padding. Of the T masked
  // frames that have one:
  //
  //   total = - sum over them of log softmax(cos(final_proj(hidden), label_embeddings) / temperature)[label]
  //           + feature_penalty * sum over rows of T_row * mean of features^2 over the row's real frames
  //
  // f64 []. With rows of equal length and equally many masked frames, as fairseq makes them, the second sum is T times
  // the mean over the batch. The gradient of `total` may not be scaled: it is what backward() starts from, or a plain
  // summand of that.
  struct Loss {
    Tensor total;
    double cross_entropy = 0, penalty = 0;  // the two parts
    int64_t targets = 0;                    // T
  };
  Loss loss(const HubertInput& input, const Tensor& labels, const Pass& pass) const;

  // Of the frames that have a label, in order: what the model thinks. Of those where `frames` (i32 [batch, frames]) is
  // not 0; undefined: of the masked ones. No gradient.
  struct Predictions {
    Tensor losses;                // f64 [targets]
    std::vector<int32_t> likely;  // the likeliest cluster of each
    std::vector<int32_t> labels;  // the true one
  };
  Predictions predict(const HubertInput& input, const Tensor& labels, const Tensor& frames = {}) const;

  // The number of targets that loss() would find; needs no model.
  static int64_t count_targets(const Tensor& masked_frames, const Tensor& labels);

  Hubert hubert;

 private:
  Tensor meet(const Tensor& hidden, const Tensor& rows) const;  // frames in the space of the clusters, of length 1
  Tensor clusters() const;                                      // cosines with them are logits

  HubertTargets targets_;
  Linear final_proj_;
  Tensor label_embeddings_;
};

}  // namespace hinoki
