// hinoki import and export: from one Hugging Face folder to another, checked by reading the result again.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/philox.h"
#include "data/tokenizer.h"
#include "train/commands.h"
#include "train/model_folder.h"

namespace hinoki {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string from, to, dtype;
};

// The largest difference between the logits of two models over the same random tokens, and the largest logit.
std::pair<double, double> compare(const LoadedModel& a, const LoadedModel& b) {
  const NoGrad no_grad;
  Tensor ids = empty({2, std::min<int64_t>(32, a.model->max_positions())}, DType::i32);
  for (int64_t i = 0; i < ids.numel(); ++i)
    ids.as<int32_t>()[i] = int32_t(philox({.seed = 1}, uint64_t(i))[0] % uint64_t(a.config.model.vocab_size()));
  const Tensor x = a.model->logits(a.model->hidden(ids, {}, {})), y = b.model->logits(b.model->hidden(ids, {}, {}));
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    require<Exit::data>(std::isfinite(x.as<float>()[i]), "the model computes logits that are not finite: its weights "
                        "are damaged, or not those of its config.json");
    worst = std::max(worst, std::abs(double(x.as<float>()[i]) - y.as<float>()[i]));
    largest = std::max(largest, std::abs(double(x.as<float>()[i])));
  }
  return {worst, largest};
}

void convert(const Options& o) {
  std::optional<DType> dtype;
  if (o.dtype == "f32") dtype = DType::f32;
  if (o.dtype == "bf16") dtype = DType::bf16;
  require<Exit::usage>(!fs::exists(o.to), o.to, " exists; name a folder that does not");
  const LoadedModel source = open_model(o.from);
  std::string tokenizer = Tokenizer::model_path(o.from);
  if (!is_file(tokenizer)) {
    warn(o.from, " holds no spiece.model: the new folder will have no tokenizer");
    tokenizer.clear();
  }

  // Everything is written beside its place and appears by one rename, after it was read again.
  const std::string building = o.to + ".tmp-" + std::to_string(getpid());
  make_directory(building);
  try {
    const DType weights = dtype.value_or(source.parameters->all().front().value.dtype());
    write_model_texts(building, {.config = source.config, .dtype = weights, .tokenizer = tokenizer, .card = ""});
    write_weights(building, *source.parameters, dtype);
    const LoadedModel copy = load_model(building);
    const auto [difference, largest] = compare(source, copy);
    // Rounding the weights to bf16 moves logits by about 2^-8 of their size a layer; anything near the size is garbage.
    const double allowed = dtype == DType::bf16 ? 0.25 * largest + 1e-3 : 0;
    require<Exit::data>(difference <= allowed, "the logits of the written model differ by ", difference,
                        " from those of ", o.from, " (largest logit ", largest, "); nothing was kept");
    for (const std::string& file : list_tree(building)) sync_file(building + "/" + file);
    fs::rename(building, o.to);
    inform("wrote ", o.to, ": read again, largest difference of a logit ", difference, " (largest logit ", largest, ")");
  } catch (...) {
    fs::remove_all(building);
    throw;
  }
}

void add(CLI::App& app, const char* verb, const char* help) {
  auto* command = app.add_subcommand(verb, help);
  auto o = std::make_shared<Options>();
  command->add_option("from", o->from, "Snapshot or Hugging Face folder (safetensors; pickles are never read)")->required();
  command->add_option("to", o->to, "The folder to write; must not exist")->required();
  command->add_option("--dtype", o->dtype, "Of the written weights; without it they stay as they are stored")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command->callback([o] { convert(*o); });
}

}  // namespace

void add_import_command(CLI::App& app) {
  add(app, "import", "Check a GPT-NeoX or GPT-2 folder of transformers and write it in this program's form");
}
void add_export_command(CLI::App& app) {
  add(app, "export", "Write the model of a snapshot as a Hugging Face folder, read it again and compare the logits");
}

}  // namespace hinoki
