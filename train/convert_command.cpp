// hinoki import and export: from one Hugging Face folder to another, checked by reading the result again.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/philox.h"
#include "data/chat_template.h"
#include "data/tokenizer.h"
#include "models/peft.h"
#include "train/commands.h"
#include "train/hubert_folder.h"
#include "train/model_folder.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string from, to, dtype;
};

// How far two models are apart: the largest difference of an output, and the largest output.
struct Apart {
  double difference = 0, largest = 0;

  Apart(const Tensor& x, const Tensor& y) {
    for (int64_t i = 0; i < x.numel(); ++i) {
      require<Exit::data>(std::isfinite(x.as<float>()[i]),
                          "the model computes outputs that are not finite: its weights are "
                          "damaged, or not those of its config.json");
      difference = std::max(difference, std::abs(double(x.as<float>()[i]) - y.as<float>()[i]));
      largest = std::max(largest, std::abs(double(x.as<float>()[i])));
    }
  }
};

// The logits of a language model over random tokens.
Tensor some_output(const LoadedModel& m) {
  Tensor ids = empty({2, std::min<int64_t>(32, m.model->max_positions())}, DType::i32);
  for (int64_t i = 0; i < ids.numel(); ++i)
    ids.as<int32_t>()[i] = int32_t(philox({.seed = 1}, uint64_t(i))[0] % uint64_t(m.config.model.vocab_size()));
  return m.model->logits(m.model->hidden(ids, {}, {}));
}

// The logits, or the last hidden states, of a HuBERT over noise.
Tensor some_output(const LoadedHubert& m) {
  const HubertModelConfig& c = m.config.model;
  const Tensor samples = empty({2, c.least_samples() + 20 * c.hop()}, DType::f32);
  for (int64_t i = 0; i < samples.numel(); ++i) {
    const Random4 r = philox({.seed = 1}, uint64_t(i));
    samples.as<float>()[i] = float(normal_pair(r[0], r[1])[0]);
  }
  return m.ctc ? m.ctc->forward({.samples = samples}, {}) : m.without_head->forward({.samples = samples}, {}).hidden;
}

void write_companions(const std::string& folder, const LoadedModel& source, const ConvertOptions& o, DType dtype) {
  std::string tokenizer = Tokenizer::model_path(tokenizer_folder(o.from));
  if (!is_file(tokenizer)) {
    warn(o.from, " holds no spiece.model: the new folder will have no tokenizer");
    tokenizer.clear();
  }
  write_model_texts(folder, {.config = source.config,
                             .dtype = dtype,
                             .tokenizer = tokenizer,
                             .card = "",
                             .chat_template = read_chat_template(tokenizer_folder(o.from))});
}

void write_companions(const std::string& folder, const LoadedHubert& source, const ConvertOptions& o, DType dtype) {
  write_hubert_texts(folder, source.config, dtype);
  if (!source.ctc) return;
  if (!is_file(o.from + "/vocab.json"))
    warn(o.from, " holds no vocab.json: nobody will know which characters the new folder's model spells");
  for (const char* name : {"vocab.json", "tokenizer_config.json", "special_tokens_map.json"})
    if (is_file(o.from + "/" + name)) fs::copy_file(o.from + "/" + name, folder + "/" + name);
}

// Everything is written beside its place and appears by one rename, after it was read again with `load`.
template <class Load>
void convert_with(const ConvertOptions& o, const Load& load) {
  std::optional<DType> dtype;
  if (o.dtype == "f32") dtype = DType::f32;
  if (o.dtype == "bf16") dtype = DType::bf16;
  const NoGrad no_grad;
  const auto source = load(o.from);
  // Vectors of 16 bits are wide in memory, and go back to what they were: no bit of what was stored changes.
  const WeightSource stored(base_folder(o.from));
  const auto type_of = [&](const Parameter& p) {
    const DType before = stored.dtype(p.name);
    return dtype.value_or(before == DType::bf16 || before == DType::f16 ? before : p.value.dtype());
  };
  const std::string building = o.to + ".tmp-" + std::to_string(getpid());
  make_directory(building);
  try {
    write_companions(building, source, o, type_of(source.parameters->all().front()));
    write_weights(building, *source.parameters, type_of);
    const Apart apart(some_output(source), some_output(load(building)));
    // Rounding the weights to bf16 moves outputs by about 2^-8 of their size a layer; anything near the size is
    // garbage.
    const double allowed = dtype == DType::bf16 ? 0.25 * apart.largest + 1e-3 : 0;
    require<Exit::data>(apart.difference <= allowed, "the outputs of the written model differ by ", apart.difference,
                        " from those of ", o.from, " (largest output ", apart.largest, "); nothing was kept");
    for (const std::string& file : list_tree(building)) sync_file(building + "/" + file);
    fs::rename(building, o.to);
    inform("wrote ", o.to, ": read again, largest difference of an output ", apart.difference, " (largest output ",
           apart.largest, ")");
  } catch (...) {
    fs::remove_all(building);
    throw;
  }
}

void convert_folder(const ConvertOptions& o) {
  require<Exit::usage>(!fs::exists(o.to), o.to, " exists; name a folder that does not");
  require_model_folder(o.from, {});
  if (read_model_type(o.from) == "hubert")
    convert_with(o, [](const std::string& folder) { return load_hubert(folder); });
  else
    convert_with(o, [](const std::string& folder) { return load_model(folder); });
}

void add_conversion(CLI::App& app, const char* verb, const char* help) {
  auto* command = app.add_subcommand(verb, help);
  auto o = std::make_shared<ConvertOptions>();
  command->add_option("from", o->from, "Snapshot or Hugging Face folder (safetensors; pickles are never read)")
      ->type_name("FOLDER")
      ->required();
  command->add_option("to", o->to, "The folder to write; must not exist")->type_name("FOLDER")->required();
  command->add_option("--dtype", o->dtype, "Of the written weights: f32 or bf16 (default: as they are stored)")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command->callback([o] { convert_folder(*o); });
}

}  // namespace

void add_import_command(CLI::App& app) {
  add_conversion(app, "import",
                 "Check a GPT-NeoX, GPT-2 or HuBERT folder of transformers and write it in this program's form");
}
void add_export_command(CLI::App& app) {
  add_conversion(app, "export",
                 "Write the model of a snapshot as a Hugging Face folder, read it again and compare its outputs");
}

}  // namespace hinoki
