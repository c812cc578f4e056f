// hinoki generate: continue a text with a snapshot or a Hugging Face folder.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <sstream>

#include "data/tokenizer.h"
#include "models/generation.h"
#include "models/hugging_face.h"
#include "train/commands.h"

namespace hinoki {
namespace {

struct Options {
  std::string model, prompt, ids;
  std::vector<std::string> stop;
  GenerationOptions generation;
  bool output_ids = false;
};

std::vector<int32_t> parse_ids(const std::string& text) {
  std::istringstream in(text);
  std::vector<int32_t> ids;
  for (int32_t id; in >> id;) ids.push_back(id);
  require<Exit::usage>(in.eof(), "--ids: \"", text, "\" is not a list of numbers");
  return ids;
}

void print_ids(const std::vector<int32_t>& ids) {
  for (size_t i = 0; i < ids.size(); ++i) std::printf("%s%d", i ? " " : "", ids[i]);
  std::printf("\n");
}

// Prints text as it comes, but holds back what may be the beginning of a stop string.
class Printer {
 public:
  explicit Printer(const std::vector<std::string>& stop) : stop_(stop) {}

  // False once a stop string has come; what follows it is not printed.
  bool add(const std::string& text) {
    waiting_ += text;
    for (const std::string& s : stop_)
      if (const size_t at = waiting_.find(s); !s.empty() && at != std::string::npos) {
        waiting_.resize(at);
        return false;
      }
    size_t hold = 0;
    for (const std::string& s : stop_)
      for (size_t n = std::min(s.size(), waiting_.size()); n > hold; --n)
        if (waiting_.ends_with(s.substr(0, n))) hold = n;
    print(waiting_.size() - hold);
    return true;
  }
  void finish() { print(waiting_.size()); }

 private:
  void print(size_t n) {
    std::cout << waiting_.substr(0, n) << std::flush;
    waiting_.erase(0, n);
  }
  const std::vector<std::string>& stop_;
  std::string waiting_;
};

void run(const Options& o) {
  const LoadedModel loaded = load_model(o.model);
  GenerationOptions options = o.generation;
  options.end = int32_t(loaded.config.ids.eos);
  if (!o.ids.empty()) {
    options.usable_vocab = loaded.config.model.vocab_size();
    const auto prompt = parse_ids(o.ids);
    const auto made = generate(*loaded.model, prompt, options);
    if (o.output_ids) return print_ids(made);
    const Tokenizer tokenizer = Tokenizer::load(o.model);
    std::cout << tokenizer.decode(made) << std::endl;
    return;
  }
  const Tokenizer tokenizer = Tokenizer::load(o.model);
  require<Exit::data>(tokenizer.size() <= loaded.config.model.vocab_size(), o.model, ": the tokenizer has ",
                      tokenizer.size(), " pieces, the model's vocabulary ", loaded.config.model.vocab_size());
  options.usable_vocab = tokenizer.size();
  std::vector<int32_t> prompt = tokenizer.encode(o.prompt);
  if (prompt.empty() && tokenizer.eos() >= 0) prompt = {tokenizer.eos()};  // what a document begins after
  if (o.output_ids) return print_ids(generate(*loaded.model, prompt, options));
  StreamDecoder decode(tokenizer);
  Printer printer(o.stop);
  std::cout << o.prompt;
  bool stopped = false;
  generate(*loaded.model, prompt, options, [&](int32_t id) {
    if (id == options.end) return false;
    stopped = !printer.add(decode.feed(id));
    return !stopped;
  });
  if (!stopped) printer.add(decode.finish());
  printer.finish();
  std::cout << std::endl;
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto* command = app.add_subcommand("generate", "Continue a text with a snapshot or a Hugging Face folder");
  auto o = std::make_shared<Options>();
  Sampling& s = o->generation.sampling;
  command->add_option("model", o->model, "Snapshot or Hugging Face folder")->required();
  command->add_option("--prompt", o->prompt, "The text to continue");
  command->add_option("--ids", o->ids, "Token ids to continue instead, separated by spaces")->excludes("--prompt");
  command->add_option("--max-tokens", o->generation.max_tokens, "New tokens at most")->capture_default_str();
  command->add_option("--temperature", s.temperature, "0 takes the likeliest token")->capture_default_str();
  command->add_option("--top-k", s.top_k, "Draw from the k likeliest tokens; 0: all")->capture_default_str();
  command->add_option("--top-p", s.top_p, "Draw from the likeliest tokens that hold this share")->capture_default_str();
  command->add_option("--repetition-penalty", s.repetition_penalty, "Above 1 avoids tokens that were there")
      ->capture_default_str();
  command->add_option("--seed", s.seed, "The same seed draws the same tokens")->capture_default_str();
  command->add_option("--stop", o->stop, "Stop before this text; may be given several times");
  command->add_flag("--output-ids", o->output_ids, "Print the new token ids instead of text");
  command->callback([o] { run(*o); });
}

}  // namespace hinoki
