#include "train/hubert_folder.h"

#include <cstring>

#include "core/base/file.h"
#include "train/model_folder.h"
#include "train/progress.h"

namespace hinoki {
namespace {

std::string hubert_card(const HubertFolder& m, const std::string& told) {
  const HubertModelConfig& c = m.model;
  const std::string name = m.vocabulary ? "HubertForCTC" : "HubertModel";
  std::string card = say("---\nlanguage: ja\nlibrary_name: transformers\npipeline_tag: ",
                         m.vocabulary ? "automatic-speech-recognition" : "feature-extraction",
                         "\ntags:\n- hubert\n- speech\n- japanese\n---\n\nA Japanese HuBERT",
                         m.vocabulary ? say(" that spells, in ", grouped(m.vocabulary), " characters") : "", ": ",
                         c.num_hidden_layers, " layers, width ", c.hidden_size, ", a frame every ", c.hop(),
                         " samples of sound at 16 kHz. Trained with Hinoki.\n\n");
  if (!told.empty()) card += told + "\n";
  return card +
         say("## How to load\n\n```python\nfrom transformers import ", name,
             ", Wav2Vec2FeatureExtractor\n\nprocessor = Wav2Vec2FeatureExtractor.from_pretrained(FOLDER)\nmodel = ",
             name, ".from_pretrained(FOLDER)\nout = model(**processor(samples, sampling_rate=16000, ",
             "return_tensors=\"pt\"))\n```\n");
}

HubertInput read_input(const std::string& path, const HubertModelConfig& config) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto read = [&](const char* name, DType dtype, int rank) {
    const StoredTensor t = file.at(name);
    require<Exit::data>(t.dtype == dtype && t.shape.rank() == rank && t.shape.numel() > 0, path, ": \"", name, "\" is ",
                        t.dtype, t.shape, ", not ", dtype, " of ", rank, " axes");
    const Tensor copy = empty(t.shape, t.dtype);
    std::memcpy(copy.data(), t.bytes.data(), t.bytes.size());
    return copy;
  };
  HubertInput input{.samples = read("samples", DType::f32, 2)};
  const int64_t batch = input.samples.size(0), samples = input.samples.size(1);
  require<Exit::data>(config.frames(samples) > 0, path, ": ", samples, " samples are less than a frame, which takes ",
                      config.least_samples());
  if (!file.contains("lengths")) return input;
  const Tensor lengths = read("lengths", DType::i32, 1);
  require<Exit::data>(lengths.size(0) == batch, path, ": ", lengths.size(0), " lengths for ", batch, " rows");
  for (int64_t row = 0; row < batch; ++row) {
    const int64_t length = lengths.as<int32_t>()[row];
    require<Exit::data>(config.least_samples() <= length && length <= samples, path, ": length ", length, " of row ",
                        row, " is not between ", config.least_samples(), " and ", samples);
    input.lengths.push_back(length);
  }
  return input;
}

}  // namespace

void write_hubert_texts(const std::string& folder, const HubertFolder& model, DType dtype, const std::string& card) {
  for (const auto& [name, text] : {std::pair{"config.json", print_hubert_config(model, dtype)},
                                   {"preprocessor_config.json", print_preprocessor_config(model)},
                                   {"README.md", hubert_card(model, card)}}) {
    FileWriter file = FileWriter::create(folder + "/" + name);
    file.write(text);
    file.close();
  }
}

LoadedHubert open_hubert(const std::string& folder, const Placement& where) {
  require_model_folder(folder, where);
  return load_hubert(folder, where.device, where.precision == Precision::bf16 ? DType::bf16 : DType::f32);
}

std::vector<std::pair<std::string, Tensor>> probe_hubert(const std::string& folder, const std::string& input,
                                                         const Placement& where) {
  const NoGrad no_grad;
  const LoadedHubert loaded = open_hubert(folder, where);
  const HubertInput in = read_input(input, loaded.config.model);
  std::vector<Tensor> states;
  const HubertOutput out = loaded.hubert().forward(in, {}, &states);
  std::vector<std::pair<std::string, Tensor>> all{{"features", out.features}};
  if (loaded.ctc) all.emplace_back("logits", loaded.ctc->logits(out.hidden));
  for (size_t i = 0; i < states.size(); ++i) all.emplace_back(say("hidden_states.", i), states[i]);
  return all;
}

}  // namespace hinoki
