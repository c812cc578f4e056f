#include "train/snapshot.h"

#include <cstring>

#include "core/base/device.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/safetensors.h"
#include "models/peft.h"
#include "train/config_file.h"
#include "train/model_folder.h"

namespace hinoki {
namespace {

constexpr int64_t kMaxStateJson = 1 << 20;

void write_text(const std::string& path, const std::string& text) {
  FileWriter file = FileWriter::create(path);
  file.write(text);
  file.close();
}

// Where a snapshot keeps the weights: of the model, or of the adapters of one.
WeightSource::Place weights_place(const Parameters& parameters) {
  if (parameters.base()) return {.stem = kAdapterStem, .prefix = kAdapterPrefix};
  return {};
}

SafetensorsLayout weights_layout(const Parameters& parameters) {
  const auto [stem, prefix] = weights_place(parameters);
  std::vector<TensorSpec> specs;
  for (const Parameter& p : parameters.all())
    if (!p.training_only) specs.push_back({prefix + p.name, p.value.dtype(), p.shape});
  SafetensorsOptions options{.stem = stem};
  if (parameters.base()) options.metadata[kBaseHash] = parameters.base()->hash;
  return SafetensorsLayout(specs, options);
}

// model.safetensors holds no values of the parameter that training could go on from: it has a rounded copy, or nothing.
bool keeps_master(const Parameters& parameters, const Parameter& p) {
  return parameters.has_masters() || p.training_only;
}

// What training keeps of a parameter beside the weights of model.safetensors: moments m and v, and the master w.
std::vector<TensorSpec> training_specs(const Parameters& parameters) {
  std::vector<TensorSpec> specs;
  for (const Parameter& p : parameters.all()) {
    for (const char* moment : {"m.", "v."}) specs.push_back({moment + p.name, parameters.master_dtype(), p.shape});
    if (keeps_master(parameters, p)) specs.push_back({"w." + p.name, parameters.master_dtype(), p.shape});
  }
  return specs;
}

// A snapshot may come from a run of another precision: its masters, if it has some, are better than its weights.
void read_training_state(const std::string& folder, Parameters& parameters, Optimizer& optimizer) {
  const auto file = ModelWeights::open(folder, "optimizer");
  const auto stored = [&](const std::string& name, const Shape& shape) {
    require<Exit::snapshot>(file.contains(name), folder, ": the snapshot lacks ", name);
    const StoredTensor from = file.at(name);
    require<Exit::snapshot>(from.dtype == parameters.master_dtype() && from.shape == shape, folder, ": ", name, " is ",
                            from.dtype, from.shape, ", expected ", parameters.master_dtype(), shape);
    return from;
  };
  const auto read = [&](const std::string& name, const OwnedPart& part, const Tensor& to) {
    const StoredTensor from = stored(name, part.parameter->shape);
    const Tensor values = empty({part.size}, to.dtype());
    const size_t element = size_of(to.dtype());
    std::memcpy(values.data(), from.bytes.data() + size_t(part.begin) * element, size_t(part.size) * element);
    copy_elements(values, to);
  };
  for (const OwnedPart& part : optimizer.parts()) {
    read("m." + part.parameter->name, part, optimizer.first_moment(part));
    read("v." + part.parameter->name, part, optimizer.second_moment(part));
  }
  for (const Parameter& p : parameters.all())
    if (p.training_only || file.contains("w." + p.name)) {
      const StoredTensor from = stored("w." + p.name, p.shape);
      const Tensor values = empty(p.shape, parameters.master_dtype());
      std::memcpy(values.data(), from.bytes.data(), from.bytes.size());
      parameters.set(p, values);
    }
}

// Keys that say where and how often, not what is computed.
bool harmless(const std::string& line) {
  for (const char* key : {"run ", "log.", "samples.", "start_from ", "train.zero ", "train.bucket_mib ",
                          "train.between_gpus ", "train.deadline "})
    if (line.starts_with(key)) return true;
  return false;
}

void compare_with(const std::string& path, const SnapshotTexts& now, const std::string& stored_arithmetic) {
  const std::string before = read_file(path + "/state/config.toml", kMaxConfigBytes);
  for (const std::string& line : compare_configs(before, now.printed)) {
    require<Exit::snapshot>(!line.starts_with("lora."), path, ": this is a snapshot with other adapters (", line,
                            "); give them back their settings, or start a new run folder");
    require<Exit::snapshot>(!line.starts_with("model."), path, ": this is a snapshot of another model (", line,
                            "); start a new run folder, or give its weights by start_from");
    if (!harmless(line))
      warn("the config has changed since the snapshot, so the run will not be bitwise the same: ", line);
  }
  if (stored_arithmetic != arithmetic(now.config))
    warn("the snapshot was made with ", stored_arithmetic, ", this is ", arithmetic(now.config),
         ": the run will not be bitwise the same");
}

}  // namespace

std::string arithmetic(const RunConfig& config) {
  const char* precision = enum_names(config.precision)[size_t(config.precision)];
  if (config.device == Device::cpu) return say(name_of(active_target()), " ", precision);
  return say(device_table(config.device).name, " ", precision);
}

SnapshotPieces snapshot_pieces(const Parameters& parameters, const Optimizer& optimizer) {
  SnapshotPieces pieces;
  const std::string prefix = weights_place(parameters).prefix;
  for (const OwnedPart& part : optimizer.parts()) {
    const std::string& name = part.parameter->name;
    if (!part.parameter->training_only)
      pieces.weights.push_back({prefix + name, part.begin, part.of(part.parameter->value.detach())});
    pieces.training.push_back({"m." + name, part.begin, optimizer.first_moment(part)});
    pieces.training.push_back({"v." + name, part.begin, optimizer.second_moment(part)});
    if (keeps_master(parameters, *part.parameter))
      pieces.training.push_back({"w." + name, part.begin, optimizer.master(part)});
  }
  return pieces;
}

SnapshotLayout::SnapshotLayout(const Parameters& parameters)
    : weights(weights_layout(parameters)), training(training_specs(parameters), {.stem = "optimizer"}) {}

void write_texts(const std::string& folder, const SnapshotTexts& texts, const RunState& state) {
  texts.write_model(folder);
  write_text(folder + "/state/config.toml", texts.printed);
  const Json json = {{"step", state.step},
                     {"targets", state.targets},
                     {"updates", state.updates},
                     {"skipped_in_a_row", state.skipped_in_a_row},
                     {"loss_sum", state.loss_sum},
                     {"loss_weight", state.loss_weight},
                     {"data_shift", state.data_shift},
                     {"rewinds_in_a_row", state.rewinds_in_a_row},
                     {"rewound_from", state.rewound_from},
                     {"rewound_to", state.rewound_to},
                     {"arithmetic", arithmetic(texts.config)}};
  write_text(folder + "/state/run.json", json.dump(2) + "\n");
}

RunState load_snapshot(const std::string& path, const SnapshotTexts& now, Parameters& parameters,
                       Optimizer& optimizer) {
  const std::string file = path + "/state/run.json";
  const Json state = parse_json(read_file(file, kMaxStateJson), file);
  compare_with(path, now, json_member(state, "arithmetic", Json::value_t::string, file));
  const WeightSource weights(path, weights_place(parameters));
  if (const FrozenBase* base = parameters.base())
    require<Exit::snapshot>(weights.metadata(kBaseHash) == base->hash, path, ": its adapters belong to a base of hash ",
                            weights.metadata(kBaseHash), ", start_from ", base->folder, " has ", base->hash,
                            ": bring back the weights that the run began with");
  weights.fill(parameters);
  read_training_state(path + "/state", parameters, optimizer);
  const auto count = [&](const char* key) {
    return json_member(state, key, Json::value_t::number_unsigned, file).get<int64_t>();
  };
  const auto later = [&](const char* key) { return state.contains(key) ? count(key) : 0; };  // older snapshots lack it
  const auto number = [&](const char* key) {
    return json_member(state, key, Json::value_t::number_float, file).get<double>();
  };
  return {.step = count("step"),
          .targets = count("targets"),
          .updates = count("updates"),
          .skipped_in_a_row = count("skipped_in_a_row"),
          .loss_sum = number("loss_sum"),
          .loss_weight = number("loss_weight"),
          .data_shift = later("data_shift"),
          .rewinds_in_a_row = later("rewinds_in_a_row"),
          .rewound_from = later("rewound_from"),
          .rewound_to = later("rewound_to")};
}

}  // namespace hinoki
