#include "train/reference.h"

#include "models/hugging_face.h"

namespace hinoki {

// In the type that the policy computes in, whatever the folder stores.
Reference::Reference(const RunConfig& config, const ModelConfig& model, const CausalLm& policy) : policy_(policy) {
  if (config.adapts()) return;
  const LoadedModel stored = load_model(config.start_from);
  parameters_ = std::make_unique<Parameters>([&](const std::string& name, const Shape&) {
    const Tensor values = stored.parameters->find(name).value;
    return to_device(cast(cast(values, DType::f32), config.dtype()), config.device);
  });
  own_ = make_model(model, *parameters_);
}

Reference::~Reference() = default;

}  // namespace hinoki
