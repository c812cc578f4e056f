// hinoki data text: raw text to token shards. Its sisters add themselves.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>

#include "core/base/file.h"
#include "core/base/parallel.h"
#include "train/commands.h"
#include "train/run_lock.h"
#include "train/text_options.h"

namespace hinoki {
namespace {

struct DataTextArguments {
  std::string tokenizer;
  TextPreparation settings;
};

void print_text_split(const char* name, const SplitReport& s) {
  std::printf("%-11s %lld documents, %lld tokens, %lld characters, %.2f characters per token, %lld shards\n", name,
              Count(s.documents), Count(s.tokens), Count(s.characters),
              s.tokens > 0 ? static_cast<double>(s.characters) / static_cast<double>(s.tokens) : 0.0, Count(s.shards));
}

void print_text_report(const TextReport& r, const std::string& output) {
  if (r.reused) {
    std::printf("%s already holds this corpus (same settings, same input names and sizes)\n", output.c_str());
  } else {
    std::printf("read        %lld files (%lld empty), %lld bytes, %lld lines\n", Count(r.files), Count(r.empty_files),
                Count(r.input_bytes), Count(r.pieces.lines));
    std::printf("dropped     %lld short lines, %lld duplicate lines, %lld duplicate documents, %lld broken lines\n",
                Count(r.pieces.short_dropped), Count(r.documents.duplicate_lines),
                Count(r.documents.duplicate_documents), Count(r.pieces.broken_dropped));
    std::printf("changed     %lld lines cut for their length, %lld broken bytes replaced\n", Count(r.pieces.cut),
                Count(r.pieces.broken_replaced));
  }
  print_text_split("train", r.train);
  print_text_split("validation", r.validation);
}

void prepare_corpus(DataTextArguments& arguments) {
  // What a long text took goes back to the system, and does not wait for its thread to meet the next one.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  arguments.settings.threads = pool().threads();
  const Tokenizer tokenizer = Tokenizer::load(arguments.tokenizer);
  make_directory(arguments.settings.output.string());
  const RunLock lock(arguments.settings.output.string());
  print_text_report(prepare_text(tokenizer, arguments.settings), arguments.settings.output.string());
}

}  // namespace

void add_data_command(CLI::App& app) {
  CLI::App* data = app.add_subcommand("data", "Raw input to HDF5 files for training")->require_subcommand(1);
  CLI::App* text = data->add_subcommand("text", "Text to token shards: clean, drop duplicates, split, tokenize");
  auto arguments = std::make_shared<DataTextArguments>();
  TextPreparation& settings = arguments->settings;
  const std::map<std::string, Deduplicate> deduplicate{
      {"none", Deduplicate::none}, {"line", Deduplicate::line}, {"document", Deduplicate::document}};
  add_text_options(*text, settings);
  text->add_option("--output", settings.output, "The folder for shards, tokenizer and prepare.json")
      ->type_name("FOLDER")
      ->required();
  text->add_option("--tokenizer", arguments->tokenizer, "spiece.model, or a folder that holds it")
      ->type_name("PATH")
      ->required();
  text->add_option("--deduplicate", settings.deduplicate,
                   "Drop what came before exactly: line (a cut one as a whole), document or none (default: line)")
      ->transform(CLI::CheckedTransformer(deduplicate).description(""))
      ->type_name("NAME");
  text->add_option("--validation-fraction", settings.validation_fraction,
                   "Share of documents that goes to validation, by their hash")
      ->capture_default_str();
  text->add_option("--shard-tokens", settings.shard_tokens, "Tokens after which a new shard begins")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  text->add_flag("--overwrite", settings.overwrite, "Replace a finished corpus that was made otherwise");
  text->callback([arguments] { prepare_corpus(*arguments); });
  add_data_chat_commands(*data);
  add_data_speech_command(*data);
  add_data_clusters_command(*data);
  add_data_labels_command(*data);
}

}  // namespace hinoki
