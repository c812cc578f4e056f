// HuBERT (Hsu et al. 2021, arXiv 2106.07447): sound in, a vector every 20 ms out. Parameters have the names of
// transformers' HubertModel. Training on masked frames is in models/hubert_pretraining.h, on texts in
// models/hubert_ctc.h.
#pragma once
#include <vector>

#include "models/hubert_config.h"
#include "models/hubert_encoder.h"
#include "models/hubert_features.h"
#include "models/layers.h"

namespace hinoki {

// A batch, in the machine's own memory: the model takes it to its device.
struct HubertInput {
  Tensor samples;                     // f32 [batch, samples] at 16 kHz, scaled as the processor does
  std::vector<int64_t> lengths = {};  // samples of each row that are real, each at least config.least_samples(); the
                                      // rest is padding of any value but NaN. Empty: all are
  Tensor masked_frames = {};          // i32 [batch, frames]: where not 0, masked_spec_embed takes the frame's place
  Tensor masked_channels = {};        // i32 [batch, width]: where not 0, the channel is 0 in all frames of its row
};

struct HubertOutput {
  Tensor features;  // [batch, frames, conv_dim.back()] of the extractor, before norm and projection
  Tensor hidden;    // [batch, frames, width]
};

class Hubert {
 public:
  // Adds the parameters below `scope`: the root for a HubertModel, root / "hubert" for a HubertForCTC.
  Hubert(const HubertModelConfig& config, Scope scope);

  // Frames = config.frames(samples). What a row gives does not depend on the other rows, nor, where lengths are given,
  // on its padding: padded frames count in no norm, are zero before the position convolution, and nobody attends to
  // them. (transformers lets padding count in the group norm of a base model; on padded batches of such a model it
  // differs from here and from its own single rows.)
  //
  // With `states`, appends transformers' hidden_states: the input of layer 1, then the output of every layer; of the
  // last one after the final norm, if the model has one. `layers`: stop behind that many, whose output is then
  // `hidden`, without a final norm unless they are all; -1: all.
  HubertOutput forward(const HubertInput& input, const Pass& pass, std::vector<Tensor>* states = nullptr,
                       int64_t layers = -1) const;

  const HubertModelConfig& config() const { return config_; }
  Device device() const { return features_.device(); }
  // Of frames from config().frames(lengths[row]) on: 1, else 0; i32 [batch, frames]. Undefined if there are none.
  Tensor padded_frames(const HubertInput& input) const;

  double gradient_multiplier = 1;         // of what the extractor learns from
  bool extractor_frozen = false;          // no gradient goes there, and nothing of it is kept
  Recompute recompute = Recompute::none;  // `full`: the extractor too is one segment

 private:
  HubertModelConfig config_;
  HubertFeatures features_;
  HubertProjection projection_;
  Tensor masked_spec_embed_;
  HubertEncoder encoder_;
};

}  // namespace hinoki
