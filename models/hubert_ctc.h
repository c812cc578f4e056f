// HuBERT that spells: a linear map from frames to characters, trained with CTC (transformers' HubertForCTC).
#pragma once
#include "models/hubert.h"

namespace hinoki {

class HubertForCtc {
 public:
  // Adds hubert.* and lm_head.{weight [vocabulary, width], bias} below `scope`.
  HubertForCtc(const HubertModelConfig& config, int64_t vocabulary, Scope scope);

  // Logits [batch, frames, vocabulary]; of padded frames they mean nothing. Steps before `frozen_steps` train lm_head
  // alone.
  Tensor forward(const HubertInput& input, const Pass& pass, std::vector<Tensor>* states = nullptr) const;
  // [..., vocabulary] of hidden states [..., width].
  Tensor logits(const Tensor& hidden) const { return lm_head_(hidden); }
  // Frames of each row that are real.
  std::vector<int64_t> frames(const HubertInput& input) const;

  Hubert hubert;
  int64_t frozen_steps = 0;

 private:
  Dropout dropout_;
  Linear lm_head_;
};

}  // namespace hinoki
