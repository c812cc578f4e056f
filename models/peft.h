// Adapter folders of Hugging Face's PEFT: adapter_config.json tells the base and how the adapters were made,
// adapter_model.safetensors holds them. transformers opens such a folder as the base with its adapters if PEFT is
// there.
#pragma once
#include <string>

#include "models/hugging_face.h"

namespace hinoki {

constexpr const char* kAdapterStem = "adapter_model";        // of the safetensors file
constexpr const char* kAdapterPrefix = "base_model.model.";  // of the tensors' names
constexpr const char* kBaseHash = "base_hash";               // in the file's metadata: what the adapters belong to

bool is_adapter_folder(const std::string& folder);

struct PeftConfig {
  std::string base;   // the base's folder
  double factor = 0;  // of the adapters' products
  std::vector<std::string> targets = {};
};
// Whatever would be computed differently here is refused by name (Exit::data). A base that is named by a relative path
// lies below the working folder or beside the adapters.
PeftConfig read_peft_config(const std::string& folder);
// The folder of the whole model: that of adapters' base, else the folder itself.
std::string base_folder(const std::string& folder);
// The text of adapter_config.json for the adapters of a model.
std::string print_peft_config(const Parameters& parameters);
void write_peft_config(const std::string& folder, const std::string& text);

// The base of an adapter folder, its matrices as if they had been trained: W + factor * B A, rounded to the type that
// the base stores. Adapters of another base are refused (Exit::data).
LoadedModel load_adapted(const std::string& folder, Device device, DType dtype);

// A base to train adapters of: the weights of a model's folder, in the type that layers compute with.
FrozenBase frozen_base(const std::string& folder, const LoraConfig& lora, Device device, DType dtype);

}  // namespace hinoki
