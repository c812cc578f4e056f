// hinoki tokenizer train|encode|decode|explain.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <memory>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "data/tokenizer_training.h"
#include "train/commands.h"
#include "train/text_options.h"
#include "train/token_ids.h"

namespace hinoki {
namespace {

struct TrainArguments {
  TextPreparation text;
  TokenizerTraining training;
};

void make_tokenizer(TrainArguments& arguments) {
  arguments.text.threads = pool().threads();
  LineSample sample(arguments.training.sample_lines);
  for_each_line(arguments.text, [&](std::string_view line) { sample.add(line); });
  std::vector<std::string> lines = sample.take();
  inform("training ", arguments.training.vocabulary_size, " pieces on ", lines.size(), " of ", sample.seen(), " lines");
  const Tokenizer made = Tokenizer::from_bytes(train_tokenizer(arguments.training, lines), "just trained");
  const std::string folder = arguments.text.output.string();
  make_directory(folder);
  write_file_durably(folder + "/spiece.model", made.bytes());
  std::printf("%s/spiece.model: %d pieces, hash %s\n", folder.c_str(), int(made.size()), made.hash().c_str());
}

void add_train(CLI::App& tokenizer) {
  CLI::App* command = tokenizer.add_subcommand("train", "Make a sentencepiece unigram model from text");
  auto arguments = std::make_shared<TrainArguments>();
  TokenizerTraining& t = arguments->training;
  arguments->text.pieces.min_characters = 2;
  add_text_options(*command, arguments->text);
  command->add_option("--output", arguments->text.output, "The folder for spiece.model")
      ->type_name("FOLDER")
      ->required();
  command->add_option("--vocabulary-size", t.vocabulary_size, "Pieces in all")->capture_default_str();
  command
      ->add_option("--sample-lines", t.sample_lines,
                   "Train on this many different lines, drawn by hash from all; bounds memory and time")
      ->capture_default_str();
  const std::map<std::string, Newline> newlines{{"plain", Newline::plain}, {"symbol", Newline::symbol}};
  command
      ->add_option("--newline", t.newline,
                   "How a line break is a piece: plain (\"\\n\" itself) or symbol (<NL>) (default: plain)")
      ->transform(CLI::CheckedTransformer(newlines).description(""))
      ->type_name("NAME");
  command->add_flag("--model-nfkc", t.nfkc, "Let the model itself normalise to NFKC whatever it encodes");
  command
      ->add_option("--character-coverage", t.character_coverage,
                   "Share of the text's characters that have pieces; rarer ones are left to byte pieces")
      ->check(CLI::Range(0.9, 1.0))
      ->capture_default_str();
  command->add_option("--user-symbol", t.user_symbols, "A string that is always one piece");
  command->add_option("--control-symbol", t.control_symbols,
                      "A piece that text never gives (default: [CLS] [SEP] [MASK])");
  command->callback([arguments] { make_tokenizer(*arguments); });
}

struct UseArguments {
  std::string tokenizer;
  std::vector<std::string> inputs;
};

// What is on the command line, or else the lines of standard input.
void for_each_input(const UseArguments& arguments, const std::function<void(const std::string&)>& use) {
  for (const std::string& text : arguments.inputs) use(text);
  if (!arguments.inputs.empty()) return;
  for (std::string line; std::getline(std::cin, line);) use(line);
}

void encode_texts(const UseArguments& arguments) {
  const Tokenizer t = Tokenizer::load(arguments.tokenizer);
  for_each_input(arguments, [&](const std::string& text) {
    std::string line;
    for (const int32_t id : t.encode(text)) line += (line.empty() ? "" : " ") + std::to_string(id);
    std::puts(line.c_str());
  });
}

void decode(const UseArguments& arguments) {
  const Tokenizer t = Tokenizer::load(arguments.tokenizer);
  std::string words;  // the shell may have split them
  for (const std::string& word : arguments.inputs) words += word + " ";
  const UseArguments all{arguments.tokenizer, words.empty() ? std::vector<std::string>{} : std::vector{words}};
  for_each_input(all, [&](const std::string& text) { std::puts(t.decode(parse_token_ids(text)).c_str()); });
}

void explain_inputs(const UseArguments& arguments) {
  const Tokenizer t = Tokenizer::load(arguments.tokenizer);
  for_each_input(arguments, [&](const std::string& text) {
    const std::string read_as = t.decode(t.encode(text));
    if (read_as != text) std::printf("the model reads this as: %s\n", read_as.c_str());
    std::printf("%7s %9s  %-20s %s\n", "id", "score", "piece", "bytes of the input");
    for (const ExplainedPiece& p : explain(t, text)) {
      std::string hex;
      char two[4];
      for (const char c : p.surface) std::snprintf(two, sizeof two, "%02x ", uint8_t(c)), hex += two;
      const std::string shown = p.piece == "\n" ? "\\n" : p.piece;
      std::printf("%7d %9.3f  %-20s %s\n", int(p.id), double(p.score), shown.c_str(), hex.c_str());
    }
  });
}

void add_use(CLI::App& tokenizer, const char* name, const char* help, const char* inputs,
             void (*run)(const UseArguments&)) {
  CLI::App* command = tokenizer.add_subcommand(name, help);
  auto arguments = std::make_shared<UseArguments>();
  command->add_option("--tokenizer", arguments->tokenizer, "spiece.model, or a folder that holds it")
      ->type_name("PATH")
      ->required();
  command->add_option("input", arguments->inputs, inputs);
  command->callback([arguments, run] { run(*arguments); });
}

}  // namespace

void add_tokenizer_command(CLI::App& app) {
  CLI::App* tokenizer = app.add_subcommand("tokenizer", "Make and try a tokenizer")->require_subcommand(1);
  add_train(*tokenizer);
  add_use(*tokenizer, "encode", "Text to token ids, a line each", "Texts (default: lines of standard input)",
          encode_texts);
  add_use(*tokenizer, "decode", "Token ids to text", "Ids (default: lines of standard input)", decode);
  add_use(*tokenizer, "explain", "Every piece of a text: id, score, and the bytes it stands for",
          "Texts (default: lines of standard input)", explain_inputs);
}

}  // namespace hinoki
