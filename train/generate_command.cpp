// hinoki generate: continue a text with a snapshot or a Hugging Face folder.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <optional>

#include "core/base/in_quotes.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "models/generation.h"
#include "train/commands.h"
#include "train/model_folder.h"
#include "train/token_ids.h"

namespace hinoki {
namespace {

struct Options {
  std::string model, prompt;
  std::optional<std::string> ids;
  std::vector<std::string> stop;
  GenerationOptions generation;
  Placement where;
  bool output_ids = false;
};

void require_utf8(const char* option, const std::string& text) {
  const size_t good = utf8_valid_until(text);
  require<Exit::usage>(good == text.size(), option, " ", in_quotes(text), " is not UTF-8 at byte ", good);
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
  require_utf8("--prompt", o.prompt);
  for (const std::string& stop : o.stop) require_utf8("--stop", stop);
  const LoadedModel loaded = open_model(o.model, o.where);
  GenerationOptions options = o.generation;
  options.end = int32_t(loaded.config.ids.eos);
  if (o.ids && o.output_ids) return print_ids(generate(*loaded.model, parse_token_ids(*o.ids), options));
  const Tokenizer tokenizer = open_tokenizer(o.model, loaded);
  options.usable_vocab = tokenizer.size();
  std::vector<int32_t> prompt = o.ids ? parse_token_ids(*o.ids) : tokenizer.encode(o.prompt);
  if (!o.ids && prompt.empty() && tokenizer.eos() >= 0) prompt = {tokenizer.eos()};  // what a document begins after
  if (o.output_ids) return print_ids(generate(*loaded.model, prompt, options));
  check_generation(*loaded.model, prompt, options);  // before anything is printed
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
  add_placement_options(*command, o->where);
  command->add_option("--stop", o->stop, "Stop before this text; may be given several times");
  command->add_flag("--output-ids", o->output_ids, "Print the new token ids instead of text");
  command->callback([o] { run(*o); });
}

}  // namespace hinoki
