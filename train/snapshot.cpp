#include "train/snapshot.h"

#include <cstring>
#include <filesystem>

#include "core/base/device.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/safetensors_writer.h"
#include "train/config_file.h"
#include "train/publication.h"

namespace hinoki {
namespace {

constexpr int64_t kMaxStateJson = 1 << 20;

std::span<const std::byte> bytes_of(const Tensor& t) {
  return {static_cast<const std::byte*>(t.data()), size_t(t.numel()) * size_of(t.dtype())};
}

void write_text(const std::string& path, const std::string& text) {
  FileWriter file = FileWriter::create(path);
  file.write(text);
  file.close();
}

// What training keeps of a parameter beside the weights of model.safetensors: moments m and v, and the master w where
// the weights are rounded copies of it.
std::vector<std::pair<std::string, Tensor>> training_state(const Parameter& p, const Parameters& parameters,
                                                           const Optimizer& optimizer) {
  std::vector<std::pair<std::string, Tensor>> all{{"m." + p.name, optimizer.first_moment(p)},
                                                  {"v." + p.name, optimizer.second_moment(p)}};
  if (parameters.has_masters()) all.emplace_back("w." + p.name, parameters.master(p));
  return all;
}

void write_training_state(const std::string& folder, const Parameters& parameters, const Optimizer& optimizer) {
  std::vector<TensorSpec> specs;
  for (const Parameter& p : parameters.all())
    for (const auto& [name, t] : training_state(p, parameters, optimizer)) specs.push_back({name, t.dtype(), p.shape});
  auto writer = SafetensorsWriter::create(folder, SafetensorsLayout(specs, {.stem = "optimizer"}));
  for (const Parameter& p : parameters.all())
    for (const auto& [name, t] : training_state(p, parameters, optimizer))
      writer.write(name, bytes_of(to_device(t, Device::cpu)));
  writer.finish();
}

// A snapshot may come from a run of another precision: its masters, if it has some, are better than its weights.
void read_training_state(const std::string& folder, Parameters& parameters, Optimizer& optimizer) {
  const auto file = ModelWeights::open(folder, "optimizer");
  const auto read = [&](const std::string& name, const Tensor& like) {
    require<Exit::snapshot>(file.contains(name), folder, ": the snapshot lacks ", name);
    const StoredTensor from = file.at(name);
    require<Exit::snapshot>(from.dtype == like.dtype() && from.shape == like.shape(), folder, ": ", name, " is ",
                            from.dtype, from.shape, ", expected ", like.dtype(), like.shape());
    const Tensor values = empty(like.shape(), like.dtype());
    std::memcpy(values.data(), from.bytes.data(), from.bytes.size());
    return values;
  };
  for (const Parameter& p : parameters.all()) {
    for (const auto& [name, to] :
         {std::pair("m." + p.name, optimizer.first_moment(p)), std::pair("v." + p.name, optimizer.second_moment(p))})
      copy_elements(read(name, to), to);
    if (file.contains("w." + p.name)) parameters.set(p, read("w." + p.name, parameters.master(p)));
  }
}

// Keys that say where and how often, not what is computed.
bool harmless(const std::string& line) {
  for (const char* key : {"run ", "log.", "start_from ", "train.zero ", "train.bucket_mib ", "train.deadline "})
    if (line.starts_with(key)) return true;
  return false;
}

void compare_with(const std::string& path, const GptConfig& config, const std::string& stored_arithmetic) {
  const std::string before = read_file(path + "/state/config.toml", kMaxConfigBytes);
  for (const std::string& line : compare_configs(before, print_config(config))) {
    require<Exit::snapshot>(!line.starts_with("model."), path, ": this is a snapshot of another model (", line,
                            "); start a new run folder, or give its weights by start_from");
    if (!harmless(line))
      warn("the config has changed since the snapshot, so the run will not be bitwise the same: ", line);
  }
  if (stored_arithmetic != arithmetic(config))
    warn("the snapshot was made with ", stored_arithmetic, ", this is ", arithmetic(config),
         ": the run will not be bitwise the same");
}

}  // namespace

std::string arithmetic(const GptConfig& config) {
  const char* precision = enum_names(config.precision)[size_t(config.precision)];
  if (config.device == Device::cpu) return say(name_of(active_target()), " ", precision);
  return say(device_table(config.device).name, " ", precision);
}

std::string save_snapshot(const std::string& snapshots, const SnapshotContents& c) {
  Publication publication(snapshots, c.state.step);
  const std::string& folder = publication.folder();
  std::filesystem::create_directory(folder + "/state");
  write_model_texts(folder, c.model);
  write_weights(folder, c.parameters, std::nullopt);
  write_training_state(folder + "/state", c.parameters, c.optimizer);
  write_text(folder + "/state/config.toml", print_config(c.config));
  const Json state = {{"step", c.state.step}, {"tokens", c.state.tokens}, {"arithmetic", arithmetic(c.config)}};
  write_text(folder + "/state/run.json", state.dump(2) + "\n");
  const std::string path = publication.publish({{"recipe", c.config.recipe}, {"step", c.state.step}});
  const Retention rule{.keep_last = c.config.log.keep_last, .keep_every = c.config.log.keep_every};
  for (const SnapshotPath& old : to_prune(snapshots, rule, path)) remove_snapshot(old);
  return path;
}

RunState load_snapshot(const std::string& path, const GptConfig& config, Parameters& parameters, Optimizer& optimizer) {
  const std::string file = path + "/state/run.json";
  const Json state = parse_json(read_file(file, kMaxStateJson), file);
  compare_with(path, config, json_member(state, "arithmetic", Json::value_t::string, file));
  WeightSource(path).fill(parameters);
  read_training_state(path + "/state", parameters, optimizer);
  return {.step = json_member(state, "step", Json::value_t::number_unsigned, file).get<int64_t>(),
          .tokens = json_member(state, "tokens", Json::value_t::number_unsigned, file).get<int64_t>()};
}

}  // namespace hinoki
