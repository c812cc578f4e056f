// A Hugging Face folder of HuBERT: everything transformers needs to open it as it is.
#pragma once
#include <string>

#include "models/hugging_face_hubert.h"
#include "train/placement.h"

namespace hinoki {

// Writes config.json, preprocessor_config.json and README.md. `dtype`: of the weights beside them. `card`: what the
// model card tells beyond how to load it, in Markdown. The files of a HubertForCTC's vocabulary are for others to
// write.
void write_hubert_texts(const std::string& folder, const HubertFolder& model, DType dtype,
                        const std::string& card = "");

// A snapshot or a Hugging Face folder of HuBERT, for inference; an Error says what else the folder is.
LoadedHubert open_hubert(const std::string& folder, const Placement& where = {});

// What `hinoki probe` writes of a HuBERT. `input`: a safetensors file with "samples", f32 [batch, samples], and perhaps
// "lengths", i32 [batch], of which what lies behind is padding. Gives "features" [batch, frames, conv_dim.back()],
// "hidden_states.N" [batch, frames, width] and, of a HubertForCTC, "logits" [batch, frames, vocabulary].
std::vector<std::pair<std::string, Tensor>> probe_hubert(const std::string& folder, const std::string& input,
                                                         const Placement& where);

}  // namespace hinoki
