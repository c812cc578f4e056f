// A Hugging Face folder: everything transformers needs to open a model as it is.
#pragma once
#include <functional>
#include <string>

#include "models/hugging_face.h"
#include "train/placement.h"

namespace hinoki {

struct ModelFolder {
  HuggingFaceConfig config;
  DType dtype = DType::f32;        // of the weights
  std::string tokenizer;           // a sentencepiece model; empty: none is written
  std::string card;                // what the model card tells beyond how to load it, in Markdown
  std::string chat_template = {};  // ChatTemplate::jinja(); empty: none
};

// Writes config.json, generation_config.json, the tokenizer's files and README.md.
void write_model_texts(const std::string& folder, const ModelFolder& model);

// Writes model.safetensors, sharded with an index past 5 GB. `dtype`: of each tensor in it.
void write_weights(const std::string& folder, const Parameters& parameters,
                   const std::function<DType(const Parameter&)>& dtype);

// Makes the device ready, and refuses what is no folder of a model.
void require_model_folder(const std::string& folder, const Placement& where);
// The architecture of a language model's folder; Exit::usage if it is none.
ModelConfig read_model_config(const std::string& folder);
// A snapshot or a Hugging Face folder of a language model, for inference; an Error says what else the folder is.
LoadedModel open_model(const std::string& folder, const Placement& where = {});
// Where its tokenizer is: beside it, or beside the base of adapters.
std::string tokenizer_folder(const std::string& folder);
// The tokenizer of a model, and that it fits.
class Tokenizer;
Tokenizer open_tokenizer(const std::string& folder, const LoadedModel& model);

// What data is prepared with must be the tokenizer of the model to train, of `config` and, if it has one there, of
// `folder` (Exit::usage); and that of a snapshot to go on from (Exit::snapshot).
void require_fits(const Tokenizer& tokenizer, const ModelConfig& config, const std::string& folder);
void require_same_tokenizer(const std::string& snapshot, const Tokenizer& now);

// Special ids of a tokenizer.
SpecialIds special_ids(const Tokenizer& tokenizer);

}  // namespace hinoki
