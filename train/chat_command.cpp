// hinoki chat: a conversation with a model in a terminal, or through pipes.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "data/utf8.h"
#include "train/commands.h"
#include "train/dialogue.h"
#include "train/generation_options.h"
#include "train/model_folder.h"

namespace hinoki {
namespace {

struct ChatOptions {
  std::string model, system, form = "model";
  std::vector<std::string> stop;
  GenerationOptions generation;
  Placement where;
  MatrixStorage storage = MatrixStorage::as_stored;
};

// False while there is an answer to interrupt.
std::atomic<bool> interrupted{true};

// Ctrl-C ends an answer. Where there is none, or it did not end, it does what it does to other programs.
void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int number) {
    if (!interrupted.exchange(true)) return;
    signal(number, SIG_DFL);
    raise(number);
  };
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

constexpr const char* kHelp =
    "/reset forgets the conversation, /undo the last turn, /system TEXT sets what stands before it, /quit ends; so "
    "does "
    "Ctrl-C, which in an answer ends that alone\n";

// False: the conversation is over.
bool obey(const std::string& line, Dialogue& talk) {
  const size_t space = line.find(' ');
  const std::string word = line.substr(0, space), rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (word == "/quit") return false;
  if (word == "/reset")
    talk.reset(), std::fputs("[the conversation is forgotten]\n", stderr);
  else if (word == "/undo")
    std::fputs(talk.undo() ? "[the last turn is forgotten]\n" : "[there is no turn to forget]\n", stderr);
  else if (word == "/system")
    talk.set_system(rest), std::fputs("[set]\n", stderr);
  else
    std::fprintf(stderr, "[%s is no command] %s", word.c_str(), kHelp);
  return true;
}

void answer(const std::string& line, Dialogue& talk) {
  interrupted = false;
  const int64_t before = talk.exchanges();
  try {
    const auto show = [](const std::string& piece) { std::cout << piece << std::flush; };
    const Dialogue::Answer done = talk.say(line, show, interrupted);
    std::cout << std::endl;
    if (interrupted) std::fputs("[stopped]\n", stderr);
    if (done.dropped > 0)
      std::fprintf(stderr, "[the model's context is full: the %zu oldest of %lld turns are forgotten]\n", done.dropped,
                   static_cast<long long>(before + 1));
  } catch (const Error& e) {
    if (e.code != Exit::usage) throw;
    std::fprintf(stderr, "[%s]\n", e.what());
  }
}

// What the folder says, as snapshots of recipe sft do; rinna's where it says nothing.
std::optional<ChatTemplate> find_template(const ChatOptions& o) {
  if (o.form == "none") return std::nullopt;
  if (o.form != "model") return ChatTemplate::named(o.form);
  const std::string jinja = read_chat_template(o.model);
  if (jinja.empty()) return ChatTemplate::named("rinna");
  auto found = ChatTemplate::of_jinja(jinja);
  require<Exit::usage>(found.has_value(), o.model,
                       ": its chat template is none that is known here; give --template rinna, ", "chatml or none");
  return found;
}

void chat(const ChatOptions& o) {
  require_utf8("--system", o.system);
  for (const std::string& stop : o.stop) require_utf8("--stop", stop);
  const LoadedModel loaded = open_model(o.model, o.where, o.storage);
  const Tokenizer tokenizer = open_tokenizer(o.model, loaded);
  GenerationOptions options = o.generation;
  options.end = int32_t(loaded.config.ids.eos);
  options.usable_vocab = tokenizer.size();
  options.check();
  Dialogue talk(*loaded.model, tokenizer, find_template(o), options, o.stop);
  talk.set_system(o.system);
  catch_interrupts();
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) std::fputs(kHelp, stderr);
  std::string line;
  while (true) {
    if (terminal) std::fputs("> ", stderr);
    if (!std::getline(std::cin, line)) break;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    if (utf8_valid_until(line) != line.size()) {
      std::fprintf(stderr, "[this is not UTF-8 at byte %zu]\n", utf8_valid_until(line));
      continue;
    }
    if (line[0] != '/')
      answer(line, talk), interrupted = true;
    else if (!obey(line, talk))
      break;
  }
}

}  // namespace

void add_chat_command(CLI::App& app) {
  auto* command = app.add_subcommand("chat",
                                     "Talk with a model: a line in, an answer out. Ctrl-C ends an answer; "
                                     "at the prompt, or a second time, the program");
  auto o = std::make_shared<ChatOptions>();
  command->add_option("model", o->model, "Snapshot or Hugging Face folder")->type_name("FOLDER")->required();
  command
      ->add_option("--template", o->form,
                   "How turns become text: rinna, chatml, none (the bare text), or what the model's folder says")
      ->check(CLI::IsMember({"model", "rinna", "chatml", "none"}))
      ->capture_default_str();
  command->add_option("--system", o->system, "Text that stands before the conversation");
  o->generation.sampling.temperature = 0.7;
  add_generation_options(*command, o->generation, o->stop);
  add_placement_options(*command, o->where);
  add_storage_option(*command, o->storage);
  command->callback([o] { chat(*o); });
}

}  // namespace hinoki
