#include "train/model_folder.h"

#include "core/base/file.h"
#include "core/base/half.h"
#include "core/safetensors_writer.h"
#include "data/tokenizer.h"
#include "data/tokenizer_export.h"
#include "models/peft.h"
#include "train/progress.h"
#include "train/publication.h"

namespace hinoki {
namespace {

std::span<const std::byte> tensor_bytes(const Tensor& t) {
  return {static_cast<const std::byte*>(t.data()), size_t(t.numel()) * size_of(t.dtype())};
}

// A copy in another float type.
Tensor converted(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  const Tensor wide = t.dtype() == DType::f32 ? t : cast(t, DType::f32);
  if (dtype == DType::f32) return wide;
  require<Exit::usage>(dtype == DType::bf16 || dtype == DType::f16, "weights are written as f32, bf16 or f16, not ",
                       dtype);
  Tensor narrow = empty(t.shape(), dtype);
  for (int64_t i = 0, n = t.numel(); i < n; ++i) {
    const float x = wide.as<float>()[i];
    if (dtype == DType::bf16)
      narrow.as<bf16>()[i] = to_bf16(x);
    else
      narrow.as<f16>()[i] = to_f16(x);
  }
  return narrow;
}

// The Python code of the card, which tests/interop runs.
std::string how_to_load(const ModelFolder& m) {
  const std::string kind = m.config.scores ? "AutoModelForSequenceClassification" : "AutoModelForCausalLM";
  const std::string model = say("model = ", kind, ".from_pretrained(FOLDER)\n");
  if (m.tokenizer.empty()) return say("from transformers import ", kind, "\n\n", model);
  return say(m.config.scores ? "import torch\n" : "", "from transformers import ", kind,
             ", PreTrainedTokenizerFast\n\n",
             "tokenizer = PreTrainedTokenizerFast.from_pretrained(FOLDER)  # or AutoTokenizer\n", model,
             m.config.scores ? "ids = tokenizer(\"吾輩は猫である。\", add_special_tokens=False).input_ids\n"
                               "print(model(torch.tensor([ids + [tokenizer.eos_token_id]])).logits)\n"
                             : "ids = tokenizer(\"吾輩は猫である。\", add_special_tokens=False, "
                               "return_tensors=\"pt\").input_ids\n"
                               "print(tokenizer.decode(model.generate(ids, max_new_tokens=64, do_sample=True)[0]))\n");
}

std::string causal_card(const ModelFolder& m) {
  const ModelConfig& c = m.config.model;
  std::string card = say("---\nlanguage: ja\nlibrary_name: transformers\npipeline_tag: ",
                         m.config.scores ? "text-classification" : "text-generation", "\ntags:\n- ", c.architecture,
                         "\n- japanese\n---\n\nA Japanese ", c.is_gpt2() ? "GPT-2" : "GPT-NeoX",
                         m.config.scores ? " reward model: " : " language model: ", c.layers(), " layers, width ",
                         c.width(), ", vocabulary ", grouped(c.vocab_size()), ", ", grouped(c.max_positions()),
                         " positions. Trained with Hinoki.\n\n");
  if (!m.card.empty()) card += m.card + "\n";
  card += say("## How to load\n\n```python\n", how_to_load(m), "```\n");
  if (!m.tokenizer.empty())
    card +=
        "\n`tokenizer.json` gives the ids of `spiece.model` (sentencepiece) in transformers 4 and 5. `T5Tokenizer`, "
        "which the cards of\nolder Japanese models name, appends `</s>`, and gives other ids in transformers 5.\n";
  return card;
}

}  // namespace

void write_model_texts(const std::string& folder, const ModelFolder& m) {
  const auto write = [&](const char* name, const std::string& text) {
    FileWriter file = FileWriter::create(folder + "/" + name);
    file.write(text);
    file.close();
  };
  write("config.json", print_hugging_face_config(m.config, m.dtype));
  write("generation_config.json", print_generation_config(m.config.ids));
  write("README.md", causal_card(m));
  if (!m.tokenizer.empty()) export_tokenizer(m.tokenizer, folder, m.chat_template);
}

void write_weights(const std::string& folder, const Parameters& parameters,
                   const std::function<DType(const Parameter&)>& dtype) {
  std::vector<TensorSpec> specs;
  for (const Parameter& p : parameters.all()) specs.push_back({p.name, dtype(p), p.shape});
  auto writer = SafetensorsWriter::create(folder, SafetensorsLayout(specs));
  for (const Parameter& p : parameters.all())
    writer.write(p.name, tensor_bytes(converted(to_device(p.value.detach(), Device::cpu), dtype(p))));
  writer.finish();
}

void require_model_folder(const std::string& folder, const Placement& where) {
  prepare(where);
  require<Exit::usage>(is_directory(folder), folder,
                       ": there is no such folder; give a snapshot (RUN/snapshots/step-N) or a Hugging Face folder");
  const auto snapshots = list_snapshots(folder + "/snapshots");
  require<Exit::usage>(snapshots.empty() || is_file(folder + "/config.json"), folder,
                       ": is a run folder; give one of its snapshots, of which the newest is ",
                       snapshots.empty() ? "" : snapshots.back().path);
}

ModelConfig read_model_config(const std::string& folder) {
  require_model_folder(folder, {});
  return read_hugging_face_config(base_folder(folder)).model;
}

LoadedModel open_model(const std::string& folder, const Placement& where) {
  require_model_folder(folder, where);
  return load_model(folder, where.device, where.precision == Precision::bf16 ? DType::bf16 : DType::f32);
}

std::string tokenizer_folder(const std::string& folder) {
  return is_file(Tokenizer::model_path(folder)) ? folder : base_folder(folder);
}

Tokenizer open_tokenizer(const std::string& folder, const LoadedModel& model) {
  Tokenizer tokenizer = Tokenizer::load(tokenizer_folder(folder));
  require<Exit::data>(tokenizer.size() <= model.config.model.vocab_size(), folder, ": the tokenizer has ",
                      tokenizer.size(), " pieces, the model a vocabulary of ", model.config.model.vocab_size(),
                      ": they do not belong together");
  return tokenizer;
}

void require_fits(const Tokenizer& tokenizer, const ModelConfig& config, const std::string& folder) {
  require<Exit::usage>(tokenizer.size() <= config.vocab_size(), "the data's tokenizer has ", tokenizer.size(),
                       " pieces, more than model.vocab_size = ", config.vocab_size());
  if (folder.empty() || !is_file(Tokenizer::model_path(tokenizer_folder(folder)))) return;
  const std::string hash = Tokenizer::load(tokenizer_folder(folder)).hash();
  require<Exit::usage>(hash == tokenizer.hash(), "the data was prepared with the tokenizer ", tokenizer.hash(),
                       ", the model ", folder, " has ", hash, "; prepare the data again, with --tokenizer ", folder);
}

void require_same_tokenizer(const std::string& snapshot, const Tokenizer& now) {
  const Tokenizer before = Tokenizer::load(snapshot);
  require<Exit::snapshot>(before.hash() == now.hash(), snapshot, ": was trained with the tokenizer ", before.hash(),
                          ", that of the data is now ", now.hash(),
                          "; bring back the one in the snapshot (spiece.model) and its corpus, or start a new run "
                          "folder");
}

SpecialIds special_ids(const Tokenizer& tokenizer) {
  return {.bos = tokenizer.bos(), .eos = tokenizer.eos(), .pad = tokenizer.pad()};
}

}  // namespace hinoki
