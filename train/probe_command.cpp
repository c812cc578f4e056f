// hinoki probe: logits, hidden states and losses for given token ids or samples, so that anyone can compare.
#include <CLI/CLI.hpp>
#include <cstring>

#include "core/base/json.h"
#include "core/safetensors_writer.h"
#include "train/commands.h"
#include "train/hubert_folder.h"
#include "train/model_folder.h"

namespace hinoki {
namespace {

constexpr int64_t kMaxInput = 64 << 20;

// {"ids": [[1, 2, 3], [4, 5, 6]]}: rows of one length.
Tensor read_ids(const std::string& path, int64_t vocabulary) {
  const Json json = parse_json(read_file(path, kMaxInput), path);
  const Json& rows = json_member(json, "ids", Json::value_t::array, path);
  require<Exit::data>(!rows.empty() && rows[0].is_array() && !rows[0].empty(), path,
                      ": \"ids\" is not a list of lists of token ids");
  std::vector<int32_t> ids;
  for (const Json& row : rows) {
    require<Exit::data>(row.is_array() && row.size() == rows[0].size(), path, ": the rows of \"ids\" differ in length");
    for (const Json& id : row) {
      require<Exit::data>(id.is_number_unsigned() && id.get<uint64_t>() < uint64_t(vocabulary), path, ": ", id.dump(),
                          " is not a token id of this model, whose vocabulary is ", vocabulary);
      ids.push_back(id.get<int32_t>());
    }
  }
  return from_values<int32_t>({int64_t(rows.size()), int64_t(rows[0].size())}, ids);
}

struct ProbeOptions {
  std::string model, input, output;
  Placement where;
};

using Named = std::vector<std::pair<std::string, Tensor>>;

Named probe_ids(const ProbeOptions& o) {
  const LoadedModel loaded = open_model(o.model, o.where);
  const Tensor ids = read_ids(o.input, loaded.config.model.vocab_size());
  const NoGrad no_grad;
  std::vector<Tensor> states;
  const Tensor hidden = loaded.model->hidden(to_device(ids, o.where.device), {}, {}, &states);
  Named all{{"logits", loaded.model->logits(hidden)}};
  for (size_t i = 0; i < states.size(); ++i) all.emplace_back(say("hidden_states.", i), states[i]);
  if (ids.size(1) > 1) {  // each token predicts the next one
    Tensor labels = empty(ids.shape(), DType::i32);
    const int64_t time = ids.size(1);
    for (int64_t i = 0; i < ids.numel(); ++i)
      labels.as<int32_t>()[i] = i % time + 1 < time ? ids.as<int32_t>()[i + 1] : -100;
    const Tensor rows = linear_cross_entropy_rows(hidden.view({ids.numel(), hidden.size(-1)}), loaded.model->head(),
                                                  to_device(labels.view({ids.numel()}), o.where.device));
    all.emplace_back("losses", rows.view(ids.shape()));
  }
  return all;
}

void probe_model(const ProbeOptions& o) {
  const std::filesystem::path path(o.output);
  require<Exit::usage>(path.extension() == ".safetensors", "--output ", o.output, " does not end in .safetensors");
  require_model_folder(o.model, o.where);
  Named all = read_model_type(o.model) == "hubert" ? probe_hubert(o.model, o.input, o.where) : probe_ids(o);
  for (auto& [name, t] : all) t = to_device(t.detach(), Device::cpu);
  std::vector<TensorSpec> specs;
  for (const auto& [name, t] : all) specs.push_back({name, t.dtype(), t.shape()});
  const SafetensorsOptions options{.stem = path.stem().string(), .shard_bytes = int64_t{1} << 60};
  const std::string parent = path.has_parent_path() ? path.parent_path().string() : ".";
  auto writer = SafetensorsWriter::create(parent, SafetensorsLayout(specs, options));
  for (const auto& [name, t] : all)
    writer.write(name, {static_cast<const std::byte*>(t.data()), size_t(t.numel()) * size_of(t.dtype())});
  writer.finish();
}

}  // namespace

void add_probe_command(CLI::App& app) {
  auto* command = app.add_subcommand("probe", "Write logits, hidden states and losses for given token ids or sound");
  auto o = std::make_shared<ProbeOptions>();
  command->add_option("model", o->model, "Snapshot or Hugging Face folder")->type_name("FOLDER")->required();
  command
      ->add_option("--input", o->input,
                   "JSON file {\"ids\": [[...], ...]}; of a HuBERT a safetensors file with samples, f32 "
                   "[batch, samples], and perhaps lengths, i32 [batch]")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--output", o->output,
                   "FILE.safetensors with logits [batch, time, vocab], hidden_states.N [batch, time, width] (0: the "
                   "embedding, last: after the final norm) and losses [batch, time] (of the next token); of a HuBERT "
                   "features, hidden_states.N and, if it spells, logits")
      ->type_name("FILE")
      ->required();
  add_placement_options(*command, o->where);
  command->callback([o] { probe_model(*o); });
}

}  // namespace hinoki
