#include "models/peft.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "core/ops.h"
#include "models/json_fields.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight", kWeight = ".weight";

std::string config_file(const std::string& folder) { return folder + "/adapter_config.json"; }

// What config.json calls GPT-2 stores its matrices [in, out].
bool stores_in_out(const std::string& folder) { return read_hugging_face_config(folder).model.is_gpt2(); }

// The matrices of a base with what adapters add to them.
class Merged {
 public:
  Merged(const std::string& folder, const PeftConfig& config)
      : folder_(folder),
        base_(config.base),
        adapters_(folder, {.stem = kAdapterStem, .prefix = kAdapterPrefix}),
        factor_(config.factor),
        in_out_(stores_in_out(config.base)) {
    const std::string meant = adapters_.metadata(kBaseHash);
    require<Exit::data>(
        meant.empty() || meant == base_.hash(), folder, ": the adapters belong to other weights than those of ",
        config.base, " (hash ", meant, ", there it is ", base_.hash(),
        "): bring back the base they were trained on, or correct base_model_name_or_path in ", config_file(folder));
  }

  const WeightSource& base() const { return base_; }

  Tensor get(const std::string& name, const Shape& shape) {
    const Tensor stored = base_.get(name, shape);
    if (!name.ends_with(kWeight)) return stored;
    const std::string map = name.substr(0, name.size() - kWeight.size());
    const std::string a_name = map + std::string(kA), b_name = map + std::string(kB);
    if (!adapters_.contains(a_name) && !adapters_.contains(b_name)) return stored;
    used_.insert({a_name, b_name});
    const Shape a_shape = adapters_.shape(a_name);
    require<Exit::data>(shape.rank() == 2 && a_shape.rank() == 2, folder_, ": ", a_name, " is ", a_shape, ", beside ",
                        name, shape, "; both must be matrices");
    const int64_t in = shape[in_out_ ? 0 : 1], out = shape[in_out_ ? 1 : 0], rank = a_shape[0];
    const Tensor a = contiguous(transpose(cast(adapters_.get(a_name, {rank, in}), DType::f32), 0, 1));
    const Tensor b = cast(adapters_.get(b_name, {out, rank}), DType::f32);
    const Tensor product = in_out_ ? linear(a, b) : linear(b, a);
    return cast(add(cast(stored, DType::f32), scale(product, factor_)), stored.dtype());
  }

  void check_all_used(const Parameters& parameters) const {
    base_.check_all_used(parameters);
    for (const std::string& name : adapters_.names())
      require<Exit::data>(used_.contains(name), folder_, ": the adapters hold ", name,
                          ", which belongs to no linear map of this model");
  }

 private:
  std::string folder_;
  WeightSource base_, adapters_;
  double factor_;
  bool in_out_;
  std::set<std::string> used_;
};

}  // namespace

bool is_adapter_folder(const std::string& folder) { return is_file(config_file(folder)); }

PeftConfig read_peft_config(const std::string& folder) {
  const std::string file = config_file(folder);
  const Json json = read_json_object(file);
  refuse_unless(json, file, "peft_type", "LORA");
  refuse_unless(json, file, "bias", "none");
  for (const char* key : {"use_dora", "lora_bias", "use_qalora"}) refuse_unless(json, file, key, false);
  for (const char* key : {"rank_pattern", "alpha_pattern"}) refuse_unless(json, file, key, Json::object());
  for (const char* key : {"modules_to_save", "layer_replication", "target_parameters", "trainable_token_indices"})
    refuse_unless(json, file, key, nullptr);
  JsonReader read(json, file);
  PeftConfig config;
  int64_t rank = 0;
  double alpha = 0;
  bool root = false;
  read("r", rank);
  read("lora_alpha", alpha);
  read("use_rslora", root);
  read("base_model_name_or_path", config.base);
  require<Exit::data>(rank > 0, file, ": \"r\" is missing");
  config.factor = alpha / (root ? std::sqrt(double(rank)) : double(rank));
  if (!is_directory(config.base) && fs::path(config.base).is_relative() && is_directory(folder + "/" + config.base))
    config.base = folder + "/" + config.base;
  require<Exit::data>(!config.base.empty() && is_directory(config.base) && !is_adapter_folder(config.base), file,
                      ": base_model_name_or_path \"", config.base,
                      "\" is no folder of a model here; correct it to where the base lies");
  return config;
}

std::string base_folder(const std::string& folder) {
  return is_adapter_folder(folder) ? read_peft_config(folder).base : folder;
}

std::string print_peft_config(const Parameters& parameters) {
  const FrozenBase& base = *parameters.base();
  std::set<std::string> targets;
  for (const Parameter& p : parameters.all())
    if (p.name.ends_with(kA)) {
      const std::string map = p.name.substr(0, p.name.size() - kA.size());
      targets.insert(map.substr(map.rfind('.') + 1));
    }
  const Json json = {{"peft_type", "LORA"},
                     {"task_type", "CAUSAL_LM"},
                     {"base_model_name_or_path", base.folder},
                     {"r", base.lora.rank},
                     {"lora_alpha", base.lora.alpha},
                     {"lora_dropout", 0.0},
                     {"target_modules", targets},
                     {"fan_in_fan_out", stores_in_out(base.folder)},
                     {"bias", "none"},
                     {"inference_mode", true}};
  return json.dump(2) + "\n";
}

void write_peft_config(const std::string& folder, const std::string& text) {
  FileWriter file = FileWriter::create(config_file(folder));
  file.write(text);
  file.close();
}

LoadedModel load_adapted(const std::string& folder, Device device, DType dtype) {
  const PeftConfig config = read_peft_config(folder);
  LoadedModel loaded{.config = read_hugging_face_config(config.base), .parameters = {}, .model = {}};
  const auto merged = std::make_shared<Merged>(folder, config);
  const NoGrad no_grad;
  loaded.parameters = std::make_unique<Parameters>(on_device(
      [merged](const std::string& name, const Shape& shape) { return merged->get(name, shape); }, device, dtype));
  loaded.model = make_model(loaded.config.model, *loaded.parameters);
  merged->check_all_used(*loaded.parameters);
  return loaded;
}

FrozenBase frozen_base(const std::string& folder, const LoraConfig& lora, Device device, DType dtype) {
  require<Exit::usage>(!is_adapter_folder(folder), "start_from ", folder,
                       ": holds adapters itself; `hinoki export` makes a model of them that new ones can begin with");
  const WeightSource weights(folder);
  const auto get = [weights, dtype](const std::string& name, const Shape& shape) {
    const Tensor stored = weights.get(name, shape);
    return stored.dtype() == dtype ? stored : cast(stored, dtype);
  };
  return {.source = on_device(get, device, dtype),
          .lora = lora,
          .folder = fs::absolute(folder).lexically_normal().string(),
          .hash = weights.hash()};
}

}  // namespace hinoki
