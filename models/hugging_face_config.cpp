// config.json of transformers, both ways.
#include "models/hugging_face.h"
#include "models/json_fields.h"

namespace hinoki {
namespace {

// Old files say rope_scaling {"type": "linear", "factor": f} beside rotary_pct and rotary_emb_base, new ones
// rope_parameters {"rope_type", "rope_theta", "partial_rotary_factor", "factor"}.
void read_rope(const Json& json, const std::string& file, GptNeoxConfig& c) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto rope = json.find(key);
    if (rope == json.end() || rope->is_null()) continue;
    require<Exit::data>(rope->is_object(), file, ": \"", key, "\" is not an object");
    JsonReader read(*rope, file);
    std::string type = "default";
    read("type", type);
    read("rope_type", type);
    read("rope_theta", c.rotary_emb_base);
    read("partial_rotary_factor", c.rotary_pct);
    require<Exit::data>(type == "linear" || type == "default", file, ": rotary scaling of type \"", type,
                        "\" is not known here; linear is");
    if (type == "linear") read("factor", c.rope_scaling_factor);
  }
}

ModelConfig read_gpt_neox(const Json& json, const std::string& file) {
  ModelConfig config{.architecture = "gpt_neox", .gpt_neox = {}, .gpt2 = {}};
  // The defaults of transformers' GPTNeoXConfig, which is GPT-NeoX 20B.
  config.gpt_neox = {.vocab_size = 50432,
                     .hidden_size = 6144,
                     .num_hidden_layers = 44,
                     .num_attention_heads = 64,
                     .intermediate_size = 24576,
                     .rotary_pct = 0.25,
                     .use_parallel_residual = true,
                     .init = "hf"};
  JsonReader read(json, file);
  config.gpt_neox.fields(read);
  read_rope(json, file, config.gpt_neox);
  return config;
}

ModelConfig read_gpt2(const Json& json, const std::string& file) {
  ModelConfig config{.architecture = "gpt2", .gpt_neox = {}, .gpt2 = {}};
  config.gpt2 = {.vocab_size = 50257, .n_inner = 0};
  JsonReader read(json, file);
  config.gpt2.fields(read);
  if (config.gpt2.n_inner == 0) config.gpt2.n_inner = 4 * config.gpt2.n_embd;
  refuse_unless(json, file, "scale_attn_weights", true);
  refuse_unless(json, file, "scale_attn_by_inverse_layer_idx", false);
  refuse_unless(json, file, "reorder_and_upcast_attn", false);
  refuse_unless(json, file, "add_cross_attention", false);
  return config;
}

}  // namespace

HuggingFaceConfig read_hugging_face_config(const std::string& folder) {
  const std::string file = folder + "/config.json";
  const Json json = read_json_object(file);
  const std::string type = json_member(json, "model_type", Json::value_t::string, file);
  HuggingFaceConfig config;
  if (type == "gpt_neox")
    config.model = read_gpt_neox(json, file);
  else if (type == "gpt2")
    config.model = read_gpt2(json, file);
  else
    fail<Exit::data>(file, ": model_type \"", type,
                     "\" is not a language model that is known here; gpt_neox and gpt2 are");
  for (const Json& name : json.value("architectures", Json::array()))
    config.scores |= name.is_string() && name.get<std::string>().ends_with("ForSequenceClassification");
  if (config.scores) {
    const Json labels = json.value("id2label", Json::object());
    require<Exit::data>(labels.size() == 1, file, ": has ", labels.size(),
                        " labels; a reward model has one (num_labels = 1)");
  }
  for (const auto& [key, id] : {std::pair{"bos_token_id", &config.ids.bos},
                                {"eos_token_id", &config.ids.eos},
                                {"pad_token_id", &config.ids.pad}})
    JsonReader(json, file)(key, *id);
  try {
    config.model.check();
  } catch (const Error& e) {
    fail<Exit::data>(file, ": ", e.what());
  }
  return config;
}

std::string print_hugging_face_config(const HuggingFaceConfig& config, DType dtype) {
  Json json;
  JsonWriter write(json);
  if (config.model.is_gpt2()) {
    Gpt2Config c = config.model.gpt2;
    c.fields(write);
    json["architectures"] = {config.scores ? "GPT2ForSequenceClassification" : "GPT2LMHeadModel"};
    json["model_type"] = "gpt2";
    json["n_ctx"] = c.n_positions;
    json["scale_attn_weights"] = true;
  } else {
    GptNeoxConfig c = config.model.gpt_neox;
    c.fields(write);
    json.erase("init");
    json.erase("rope_scaling_factor");
    json["architectures"] = {config.scores ? "GPTNeoXForSequenceClassification" : "GPTNeoXForCausalLM"};
    json["model_type"] = "gpt_neox";
    // The old keys for transformers 4, the new ones for 5.
    Json& rope = json["rope_parameters"];
    rope = {{"rope_type", "default"}, {"rope_theta", c.rotary_emb_base}, {"partial_rotary_factor", c.rotary_pct}};
    if (c.rope_scaling_factor != 1) {
      json["rope_scaling"] = {{"type", "linear"}, {"rope_type", "linear"}, {"factor", c.rope_scaling_factor}};
      rope["rope_type"] = "linear";
      rope["factor"] = c.rope_scaling_factor;
    }
  }
  if (config.scores) {
    json["id2label"] = {{"0", "reward"}};
    json["label2id"] = {{"reward", 0}};
  }
  json["torch_dtype"] = dtype == DType::bf16 ? "bfloat16" : dtype == DType::f16 ? "float16" : "float32";
  json["use_cache"] = true;
  for (const auto& [key, id] :
       {std::pair{"bos_token_id", config.ids.bos}, {"eos_token_id", config.ids.eos}, {"pad_token_id", config.ids.pad}})
    json[key] = id >= 0 ? Json(id) : Json(nullptr);
  return json.dump(2) + "\n";
}

std::string print_generation_config(const SpecialIds& ids) {
  Json json = {{"_from_model_config", true}};
  for (const auto& [key, id] :
       {std::pair{"bos_token_id", ids.bos}, {"eos_token_id", ids.eos}, {"pad_token_id", ids.pad}})
    if (id >= 0) json[key] = id;
  return json.dump(2) + "\n";
}

}  // namespace hinoki
