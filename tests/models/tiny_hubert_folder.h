// Hugging Face folders of tiny HuBERTs, for tests to spoil.
#pragma once
#include <map>

#include "core/safetensors_writer.h"
#include "models/hugging_face_hubert.h"
#include "tests/models/tiny_hubert.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::test {

using Weights = std::map<std::string, Tensor>;

// FOLDER/STEM.safetensors
inline void write_tensors(const std::string& folder, const std::string& stem, const Weights& tensors) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, t] : tensors) specs.push_back({name, t.dtype(), t.shape()});
  auto writer = SafetensorsWriter::create(folder, SafetensorsLayout(specs, {.stem = stem}));
  for (const auto& [name, t] : tensors)
    writer.write(name, {static_cast<const std::byte*>(t.data()), size_t(t.numel()) * size_of(t.dtype())});
  writer.finish();
}

// A HubertForCTC or HubertModel with random weights, as a folder.
class TinyHubertFolder {
 public:
  explicit TinyHubertFolder(bool ctc, bool large = false) {
    config_.model = tiny_hubert(large);
    config_.vocabulary = ctc ? 9 : 0;
    config_.normalize = large;
    Parameters parameters(DType::f32);
    if (ctc)
      HubertForCtc(config_.model, 9, Scope(parameters));
    else
      Hubert(config_.model, Scope(parameters));
    parameters.allocate();
    parameters.initialize(2);
    for (const Parameter& p : parameters.all()) weights_[p.name] = p.value.detach();
    write_config(print_hubert_config(config_, DType::f32));
    folder_.write("preprocessor_config.json", print_preprocessor_config(config_));
    write_weights();
  }

  void write_config(const std::string& text) { folder_.write("config.json", text); }
  void write_weights() { write_tensors(path(), "model", weights_); }
  void rename(const std::string& from, const std::string& to) {
    weights_[to] = weights_.at(from);
    weights_.erase(from);
  }
  std::string path() const { return folder_.path().string(); }
  Weights& weights() { return weights_; }
  const HubertFolder& config() const { return config_; }

 private:
  TemporaryFolder folder_;
  HubertFolder config_;
  Weights weights_;
};

}  // namespace hinoki::test
