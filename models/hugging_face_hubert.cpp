#include "models/hugging_face_hubert.h"

#include "models/json_fields.h"
#include "models/peft.h"

namespace hinoki {
namespace {

constexpr const char* kModel = "HubertModel";
constexpr const char* kCtc = "HubertForCTC";

// The one class that a folder names, HubertModel if it names none.
std::string read_class(const Json& json, const std::string& file) {
  std::vector<std::string> classes;
  JsonReader(json, file)("architectures", classes);
  if (classes.empty()) return kModel;
  require<Exit::data>(classes.size() == 1 && (classes[0] == kModel || classes[0] == kCtc), file,
                      ": \"architectures\" is ", json["architectures"].dump(), "; ", kModel, " and ", kCtc,
                      " are known here");
  return classes[0];
}

HubertFolder read_folder_config(const Json& json, const std::string& file) {
  require<Exit::data>(json_member(json, "model_type", Json::value_t::string, file) == "hubert", file, ": model_type ",
                      json["model_type"].dump(), " is not hubert");
  HubertFolder folder;
  JsonReader read(json, file);
  folder.model.fields(read);
  for (const char* key : {"conv_pos_batch_norm", "add_adapter"}) refuse_unless(json, file, key, false);
  refuse_unless(json, file, "adapter_attn_dim", nullptr);
  refuse_unless(json, file, "num_feat_extract_layers", folder.model.conv_dim.size());
  if (read_class(json, file) == kCtc) {
    folder.vocabulary = 32;  // transformers' default
    read("vocab_size", folder.vocabulary);
    require<Exit::data>(folder.vocabulary > 0, file, ": \"vocab_size\" is 0");
  }
  for (const auto& [key, id] : {std::pair{"bos_token_id", &folder.ids.bos},
                                {"eos_token_id", &folder.ids.eos},
                                {"pad_token_id", &folder.ids.pad}})
    read(key, *id);
  try {
    folder.model.check();
  } catch (const Error& e) {
    fail<Exit::data>(file, ": ", e.what());
  }
  return folder;
}

}  // namespace

std::string read_model_type(const std::string& folder) {
  const std::string file = base_folder(folder) + "/config.json";
  return json_member(read_json_object(file), "model_type", Json::value_t::string, file);
}

HubertFolder read_hubert_config(const std::string& folder) {
  const std::string file = folder + "/config.json", processor = folder + "/preprocessor_config.json";
  HubertFolder config = read_folder_config(read_json_object(file), file);
  config.normalize = config.model.feat_extract_norm == "layer";
  if (!is_file(processor)) return config;
  const Json json = read_json_object(processor);
  refuse_unless(json, processor, "sampling_rate", 16000);
  refuse_unless(json, processor, "feature_size", 1);
  config.normalize = true;  // the default of Wav2Vec2FeatureExtractor
  JsonReader(json, processor)("do_normalize", config.normalize);
  return config;
}

std::string print_hubert_config(const HubertFolder& config, DType dtype) {
  Json json;
  JsonWriter write(json);
  HubertModelConfig model = config.model;
  model.fields(write);
  json["model_type"] = "hubert";
  json["architectures"] = {config.vocabulary ? kCtc : kModel};
  json["num_feat_extract_layers"] = model.conv_dim.size();
  json["torch_dtype"] = dtype == DType::bf16 ? "bfloat16" : dtype == DType::f16 ? "float16" : "float32";
  if (config.vocabulary) {
    json["vocab_size"] = config.vocabulary;
    json["ctc_loss_reduction"] = "sum";
    json["ctc_zero_infinity"] = true;
  }
  for (const auto& [key, id] :
       {std::pair{"bos_token_id", config.ids.bos}, {"eos_token_id", config.ids.eos}, {"pad_token_id", config.ids.pad}})
    json[key] = id >= 0 ? Json(id) : Json(nullptr);
  return json.dump(2) + "\n";
}

std::string print_preprocessor_config(const HubertFolder& config) {
  const Json json = {{"feature_extractor_type", "Wav2Vec2FeatureExtractor"},
                     {"sampling_rate", 16000},
                     {"feature_size", 1},
                     {"padding_side", "right"},
                     {"padding_value", 0},
                     {"do_normalize", config.normalize},
                     {"return_attention_mask", config.model.feat_extract_norm == "layer"}};
  return json.dump(2) + "\n";
}

LoadedHubert load_hubert(const std::string& folder, Device device, DType dtype) {
  LoadedHubert loaded{.config = read_hubert_config(folder), .parameters = {}, .ctc = {}, .without_head = {}};
  const WeightSource source(folder);
  loaded.parameters = std::make_unique<Parameters>(on_device(
      [source](const std::string& name, const Shape& shape) { return source.get(name, shape); }, device, dtype));
  const Scope root(*loaded.parameters);
  if (loaded.config.vocabulary)
    loaded.ctc = std::make_unique<HubertForCtc>(loaded.config.model, loaded.config.vocabulary, root);
  else
    loaded.without_head = std::make_unique<Hubert>(loaded.config.model, root);
  source.check_all_used(*loaded.parameters);
  return loaded;
}

void fill_from_hubert(const std::string& folder, Parameters& parameters) {
  WeightSource(folder).fill(parameters, "lm_head.");
}

}  // namespace hinoki
