// hinoki data chat and hinoki data preferences: JSONL to token ids.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/base/file.h"
#include "core/base/log.h"
#include "data/chat_prepare.h"
#include "train/commands.h"
#include "train/run_lock.h"

namespace hinoki {
namespace {

struct ChatArguments {
  std::string tokenizer, on_fault = "fail";
  ChatPreparation settings;
};

void print_chat_split(const char* name, const ChatSplitReport& s, bool pairs) {
  std::printf("%-11s %lld %s, %lld tokens, %lld of them to learn\n", name, Count(pairs ? s.examples / 2 : s.examples),
              pairs ? "pairs" : "conversations", Count(s.tokens), Count(s.targets));
}

void prepare_records(ChatArguments& a) {
  a.settings.skip_faults = a.on_fault == "skip";
  const Tokenizer tokenizer = Tokenizer::load(a.tokenizer);
  make_directory(a.settings.output.string());
  const RunLock lock(a.settings.output.string());
  const ChatReport r = prepare_chat(tokenizer, a.settings);
  const bool pairs = a.settings.kind == ChatSource::Kind::preferences;
  std::printf("read        %lld files, %lld records, %lld left out\n", (long long)r.files, (long long)r.records,
              (long long)r.faults);
  print_chat_split("train", r.train, pairs);
  print_chat_split("validation", r.validation, pairs);
  if (r.faults > 0) warn(r.faults, " of ", r.records, " records cannot be used, the first: ", r.first_fault);
  if (r.validation.examples == 0)
    warn("no record went to the validation split; --validation-fraction ", a.settings.validation_fraction,
         " of so few is none");
}

void add_chat_data(CLI::App& data, const char* verb, const char* help, ChatSource::Kind kind) {
  CLI::App* command = data.add_subcommand(verb, help);
  auto a = std::make_shared<ChatArguments>();
  a->settings.kind = kind;
  command->add_option("input", a->settings.inputs, "Files (.jsonl, .gz and .zst too) and folders of them")
      ->type_name("PATH")
      ->required();
  command->add_option("--output", a->settings.output, "The folder for train.h5, validation.h5 and the tokenizer")
      ->type_name("FOLDER")
      ->required();
  command->add_option("--tokenizer", a->tokenizer, "spiece.model, or a folder that holds it")
      ->type_name("PATH")
      ->required();
  command->add_option("--template", a->settings.chat_template, "How turns become text: rinna or chatml")
      ->check(CLI::IsMember(ChatTemplate::names()))
      ->capture_default_str();
  command
      ->add_option("--validation", a->settings.validation_inputs,
                   "Files and folders for the validation split; without them a part of the input is taken")
      ->type_name("PATH");
  command
      ->add_option("--validation-fraction", a->settings.validation_fraction,
                   "Share of the questions that goes to validation, by their hash")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--longest", a->settings.longest, "Tokens of a record; longer ones are faults; 0: any")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--on-fault", a->on_fault, "A record that cannot be used: fail, or skip and count it")
      ->check(CLI::IsMember({"fail", "skip"}))
      ->capture_default_str();
  command->add_flag("--overwrite", a->settings.overwrite, "Replace finished data");
  command->callback([a] { prepare_records(*a); });
}

}  // namespace

void add_data_chat_commands(CLI::App& data) {
  add_chat_data(data, "chat", "Conversations to token ids, with what is to be learned marked by position",
                ChatSource::Kind::conversations);
  add_chat_data(data, "preferences", "Questions with a chosen and a rejected answer to token ids",
                ChatSource::Kind::preferences);
}

}  // namespace hinoki
