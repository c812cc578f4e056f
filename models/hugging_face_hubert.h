// Hugging Face folders of HuBERT: HubertModel and HubertForCTC.
#pragma once
#include "models/hubert_ctc.h"
#include "models/hugging_face.h"

namespace hinoki {

struct HubertFolder {
  HubertModelConfig model;
  int64_t vocabulary = 0;                           // of a HubertForCTC; 0: a HubertModel
  SpecialIds ids = {.bos = 1, .eos = 2, .pad = 0};  // of the vocabulary; pad is the blank
  bool normalize = false;                           // the processor scales each recording to mean 0 and variance 1
};

// Reads FOLDER/config.json and, if it is there, preprocessor_config.json. Keys that are absent have the defaults of
// transformers; anything this program would compute differently is refused by name (Exit::data).
HubertFolder read_hubert_config(const std::string& folder);
// model_type of FOLDER/config.json: "gpt_neox", "hubert", ...
std::string read_model_type(const std::string& folder);
// The texts of config.json and preprocessor_config.json. `dtype`: of the weights beside them.
std::string print_hubert_config(const HubertFolder& config, DType dtype);
std::string print_preprocessor_config(const HubertFolder& config);

// A model ready for use. Weight norm may be stored as weight_g, weight_v or as parametrizations.weight.original0, 1.
struct LoadedHubert {
  HubertFolder config;
  std::unique_ptr<Parameters> parameters;
  std::unique_ptr<HubertForCtc> ctc;  // or
  std::unique_ptr<Hubert> without_head;
  const Hubert& hubert() const { return ctc ? ctc->hubert : *without_head; }
};
LoadedHubert load_hubert(const std::string& folder, Device device = Device::cpu, DType dtype = DType::f32);

// Fills the parameters of a HubertForCtc that has yet to learn to spell from a folder of a HubertModel (or of another
// HubertForCTC of the same vocabulary): lm_head keeps its values if the folder has none, and so do a
// HubertForPretraining's heads.
void fill_from_hubert(const std::string& folder, Parameters& parameters);

}  // namespace hinoki
