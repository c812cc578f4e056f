// Hugging Face folders: config.json both ways, and weights by name.
#pragma once
#include <string>
#include <string_view>

#include "core/safetensors.h"
#include "models/model.h"
#include "models/reward_model.h"

namespace hinoki {

// Token ids with a meaning; -1: none.
struct SpecialIds {
  int64_t bos = -1, eos = -1, pad = -1;
};

struct HuggingFaceConfig {
  ModelConfig model;
  SpecialIds ids = {};
  bool scores = false;  // texts (models/reward_model.h), and writes none
};

// Reads FOLDER/config.json of a GPTNeoXForCausalLM or GPT2LMHeadModel, or of the ForSequenceClassification of either
// with one label; keys that are absent have the defaults of the
// transformers class. Anything this program would compute differently is refused by name (Exit::data).
HuggingFaceConfig read_hugging_face_config(const std::string& folder);
// The text of config.json and of generation_config.json. `dtype`: of the weights beside it.
std::string print_hugging_face_config(const HuggingFaceConfig& config, DType dtype);
std::string print_generation_config(const SpecialIds& ids);

// The weights of a folder for the parameters of a model. Legacy buffers (causal masks, rotary frequencies, a tied
// lm_head) are passed over, and a prefix that stands or falls with the head, and the spelling of weight norms, may be
// either; any other tensor that the model lacks, and any that it misses, is an Error.
class WeightSource {
 public:
  // Where a folder keeps them, and what stands before every name there.
  struct Place {
    std::string stem = "model", prefix = {};
  };
  explicit WeightSource(const std::string& folder) : WeightSource(folder, Place()) {}
  WeightSource(const std::string& folder, const Place& place);

  // For Parameters: matrices of linears and embeddings stay as stored (f32, bf16 or f16, mapped from the file where it
  // is aligned), the rest becomes f32.
  Tensor get(const std::string& name, const Shape& shape) const;
  // Copies all values into allocated parameters. What serves training alone keeps its values if the folder lacks it,
  // and so does what begins with `may_lack`.
  void fill(Parameters& parameters, std::string_view may_lack = {}) const;
  // After the model was built: complains about tensors that nothing asked for.
  void check_all_used(const Parameters& parameters) const;

  bool contains(const std::string& name) const { return weights_->contains(stored_name(name)); }
  Shape shape(const std::string& name) const;
  DType dtype(const std::string& name) const;          // in the file; get() widens some
  std::vector<std::string> names() const;              // without the prefix; what does not have it is refused
  std::string hash() const;                            // of all tensors, however they are spread over files
  std::string metadata(const std::string& key) const;  // of the first file; empty: none

 private:
  StoredTensor find(const std::string& name, const Shape& shape) const;
  std::string stored_name(const std::string& name) const;

  std::string folder_, prefix_;
  std::shared_ptr<const ModelWeights> weights_;
};

// What a source gives on the CPU stays as it is there, but bf16 rounds its matrices; elsewhere all weights become
// `dtype`, which layers then compute in.
Parameters::Source on_device(Parameters::Source source, Device device, DType dtype);

// A model ready for inference, with whatever keeps its memory.
struct LoadedModel {
  HuggingFaceConfig config;
  std::unique_ptr<Parameters> parameters;
  std::unique_ptr<CausalLm> model;
};
// Weights as of WeightSource::get and on_device. A folder of adapters (models/peft.h) gives its base with them merged
// in.
LoadedModel load_model(const std::string& folder, Device device = Device::cpu, DType dtype = DType::f32);

struct LoadedRewardModel {
  HuggingFaceConfig config;
  std::unique_ptr<Parameters> parameters;
  std::unique_ptr<RewardModel> model;
};
LoadedRewardModel load_reward_model(const std::string& folder, Device device = Device::cpu, DType dtype = DType::f32);

}  // namespace hinoki
