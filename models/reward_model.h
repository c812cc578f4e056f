// A reward model: the layers of a language model and, in place of its head, a map from the hidden state of a text's last
// token to one number (Ouyang et al. 2022, arXiv 2203.02155). Names and shapes are those of transformers'
// GPTNeoXForSequenceClassification and GPT2ForSequenceClassification with one label.
#pragma once
#include "models/model.h"

namespace hinoki {

class RewardModel {
 public:
  static constexpr const char* kHead = "score.";  // what its own parameters begin with

  RewardModel(const ModelConfig& config, Parameters& parameters);

  // Rewards [n] of the texts whose last tokens stand at `last` (i32 [n]) of the flattened ids (i32 [batch, time]).
  // Segments as in CausalLm::hidden.
  Tensor operator()(const Tensor& ids, const Tensor& segments, const Tensor& last, const Pass& pass) const;

  CausalLm& layers() { return *layers_; }
  Device device() const { return layers_->device(); }

 private:
  std::unique_ptr<CausalLm> layers_;
  Tensor score_;  // [1, width]
};

}  // namespace hinoki
