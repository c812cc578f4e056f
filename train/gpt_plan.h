// What a causal language model needs to train, from arithmetic alone.
#pragma once
#include "models/model.h"
#include "train/plan.h"

namespace hinoki {

struct PassSize {
  const ModelConfig& model;
  int64_t batch, sequence;
  Recompute recompute = Recompute::none;
  DType dtype = DType::f32;  // of weights and activations
  LoraConfig lora = {};
  LanguageHead head = LanguageHead::own;
  Device device = Device::cpu;
};
Plan plan_pass(const PassSize& what);

}  // namespace hinoki
