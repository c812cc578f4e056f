// hinoki generate: continue a text with a snapshot or a Hugging Face folder.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <optional>

#include "core/base/json.h"
#include "data/stop_text.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "models/generation.h"
#include "train/commands.h"
#include "train/generation_options.h"
#include "train/model_folder.h"
#include "train/token_ids.h"

namespace hinoki {
namespace {

struct GenerateOptions {
  std::string model, prompt, prompts;
  int64_t batch = 8, samples = 1;
  std::optional<std::string> ids;
  std::vector<std::string> stop;
  GenerationOptions generation;
  Placement where;
  MatrixStorage storage = MatrixStorage::as_stored;
  bool output_ids = false;
};

void print_ids(const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < ids.size(); ++i) std::printf("%s%d", i ? " " : "", ids[i]);
  std::printf("\n");
}

// A prompt for each line: {"prompt": "..."} or the text itself.
std::vector<std::string> read_prompts(const std::string& path) {
  std::ifstream in(path);
  require<Exit::usage>(in.good(), "generate: cannot open ", path);
  std::vector<std::string> prompts;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    require<Exit::data>(utf8_valid_until(line) == line.size(), path, ":", number, ": not UTF-8 at byte ",
                        utf8_valid_until(line));
    if (line.empty()) continue;
    if (line[0] != '{') {
      prompts.push_back(line);
      continue;
    }
    const Json record = Json::parse(line, nullptr, false);
    require<Exit::data>(record.is_object() && record.contains("prompt") && record["prompt"].is_string(), path, ":", number,
                        ": no JSON object with a text \"prompt\"");
    prompts.push_back(record["prompt"].get<std::string>());
  }
  return prompts;
}

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  if (ids.empty() && tokenizer.eos() >= 0) ids = {tokenizer.eos()};  // what a document begins after
  return ids;
}

// All prompts of a file to JSON lines, in their order.
void run_file(const GenerateOptions& o, const LoadedModel& loaded, const Tokenizer& tokenizer,
              GenerationOptions options) {
  require<Exit::usage>(o.samples >= 1 && o.batch >= 1, "generate: --samples and --batch are from 1 on");
  const std::vector<std::string> texts = read_prompts(o.prompts);
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < texts.size() * size_t(o.samples); ++i)
    prompts.push_back(encode_prompt(tokenizer, texts[i / size_t(o.samples)]));
  options.lines = o.batch;
  options.log_probabilities = true;
  struct Reading {
    StreamDecoder decode;
    StopText stop;
    std::string text = {};
  };
  std::vector<Reading> readings;
  for (size_t i = 0; i < prompts.size(); ++i) readings.push_back({StreamDecoder(tokenizer), StopText(o.stop)});
  const auto made = generate_batch(*loaded.model, prompts, options, 0, [&](size_t i, int32_t id) {
    if (id != options.end) readings[i].text += readings[i].stop.add(readings[i].decode.feed(id));
    return !readings[i].stop.stopped();
  });
  for (size_t i = 0; i < made.size(); ++i) {
    Reading& r = readings[i];
    r.text += r.stop.add(r.decode.finish());
    r.text += r.stop.finish();
    double sum = 0;
    for (const float l : made[i].log_probabilities) sum += l;
    const Json line = {{"prompt", texts[i / size_t(o.samples)]}, {"sample", i % size_t(o.samples)}, {"text", r.text},
                       {"tokens", made[i].tokens.size()},        {"ending", name_of(made[i].ending)}, {"log_probability", sum}};
    std::printf("%s\n", line.dump().c_str());
  }
}

void generate_text(const GenerateOptions& o) {
  require_utf8("--prompt", o.prompt);
  for (const std::string& stop : o.stop) require_utf8("--stop", stop);
  const LoadedModel loaded = open_model(o.model, o.where, o.storage);
  GenerationOptions options = o.generation;
  options.end = int32_t(loaded.config.ids.eos);
  if (o.ids && o.output_ids) return print_ids(generate(*loaded.model, parse_token_ids(*o.ids), options));
  const Tokenizer tokenizer = open_tokenizer(o.model, loaded);
  options.usable_vocab = tokenizer.size();
  if (!o.prompts.empty()) return run_file(o, loaded, tokenizer, options);
  const std::vector<int32_t> prompt = o.ids ? parse_token_ids(*o.ids) : encode_prompt(tokenizer, o.prompt);
  if (o.output_ids) return print_ids(generate(*loaded.model, prompt, options));
  check_generation(*loaded.model, prompt, options);  // before anything is printed
  StreamDecoder decode(tokenizer);
  StopText stop(o.stop);
  std::cout << o.prompt;
  const auto show = [](const std::string& text) { std::cout << text << std::flush; };
  generate(*loaded.model, prompt, options, [&](int32_t id) {
    if (id == options.end) return false;
    show(stop.add(decode.feed(id)));
    return !stop.stopped();
  });
  show(stop.add(decode.finish()));
  show(stop.finish());
  std::cout << std::endl;
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto* command = app.add_subcommand("generate", "Continue a text with a snapshot or a Hugging Face folder");
  auto o = std::make_shared<GenerateOptions>();
  command->add_option("model", o->model, "Snapshot or Hugging Face folder")->type_name("FOLDER")->required();
  command->add_option("--prompt", o->prompt, "The text to continue");
  command->add_option("--ids", o->ids, "Token ids to continue instead, separated by spaces")
      ->type_name("IDS")
      ->excludes("--prompt");
  command
      ->add_option("--prompts", o->prompts,
                   "Continue each line of a file (text, or JSON with a \"prompt\") to JSON lines")
      ->type_name("FILE")
      ->excludes("--prompt")
      ->excludes("--ids");
  command->add_option("--batch", o->batch, "Prompts that grow together, with --prompts")->capture_default_str();
  command->add_option("--samples", o->samples, "Continuations of each prompt, with --prompts")->capture_default_str();
  add_generation_options(*command, o->generation, o->stop);
  add_placement_options(*command, o->where);
  add_storage_option(*command, o->storage);
  command->add_flag("--output-ids", o->output_ids, "Print the new token ids instead of text");
  command->callback([o] { generate_text(*o); });
}

}  // namespace hinoki
