// Commands and configs that are wrong: exit code 2, and a message that says where, what, and what to do instead.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/end_to_end/tiny_program.h"

namespace hinoki::usage_test {
namespace {

using test::expect_outcome;

// The tiny config with one line replaced, and the number of that line.
std::pair<std::string, std::string> edited(const test::TinyProgram& p, const std::string& line, const std::string& by) {
  std::string text = bytes_of_file(p.config("edited"));
  const size_t at = text.find("\n" + line);
  EXPECT_NE(at, text.npos) << line;
  text.replace(at + 1, line.size(), by);
  const auto number = std::count(text.begin(), text.begin() + int64_t(at) + 1, '\n') + 1;
  return {p.tiny.folder.write("edited.toml", text).string(), ":" + std::to_string(number) + ": "};
}

TEST(Usage, CommandsThatAreNone) {
  expect_outcome(2, {"A subcommand is required"}, {});
  expect_outcome(2, {"there is no command \"trian\"; did you mean \"train\"?"}, {"trian"});
  expect_outcome(2, {"there is no command \"speak\"; it may be: tokenizer, data, train"}, {"speak", "x"});
  expect_outcome(2, {"--colour"}, {"train", "--colour", "red"});
  expect_outcome(2, {"--threads"}, {"--threads", "0", "doctor"});
  expect_outcome(2, {"give a config file, or --resume RUN"}, {"train"});
  expect_outcome(2, {"--steps"}, {"bench", "step", "--steps", "0"});
  expect_outcome(2, {"--batch"}, {"bench", "step", "--batch", "-1"});
  expect_outcome(2, {"gemm library \"mkl\": expected own or openblas"}, {"bench", "step", "--gemm", "mkl"});
  expect_outcome(2, {"--gemm openblas needs --device cpu"}, {"bench", "step", "--gemm", "openblas", "--device", "cuda"});
  expect_outcome(0, {"Usage: hinoki train"}, {"train", "--help"});
}

TEST(Usage, ConfigsThatAreWrong) {
  const test::TinyProgram p;
  const std::string config = p.config("run");
  const auto [key, key_line] = edited(p, "steps = 20", "stpes = 20");
  expect_outcome(2, {key + key_line, "[train] has no key \"stpes\"; did you mean \"steps\"?"}, {"train", key});
  const auto [type, type_line] = edited(p, "steps = 20", "steps = \"many\"");
  expect_outcome(2, {type + type_line, "train.steps must be an integer, not a text"}, {"train", type});
  const auto [range, range_line] = edited(p, "steps = 20", "steps = -1");
  expect_outcome(2, {range + range_line, "train.steps = -1 must be at least 0"}, {"train", range});
  const auto [syntax, syntax_line] = edited(p, "steps = 20", "steps = = 20");
  expect_outcome(2, {syntax + syntax_line.substr(0, syntax_line.size() - 1)}, {"train", syntax});
  expect_outcome(2, {p.path("none.toml"), "cannot read", "No such file"}, {"train", p.path("none.toml")});
  expect_outcome(2, {"command line \"train.stpes=3\"", "did you mean \"steps\"?"}, {"train", config, "train.stpes=3"});
  expect_outcome(2, {"data.sequence 64 is longer than the model's 32 positions"},
                 {"train", config, "data.sequence=64", "model.max_position_embeddings=32"});
  expect_outcome(2, {"hidden_size 32 is not a multiple of num_attention_heads 5"},
                 {"plan", config, "model.num_attention_heads=5"});
  expect_outcome(0, {p.path("run") + "\n"}, {"plan", "--run-folder", config});
  EXPECT_FALSE(std::filesystem::exists(p.path("run"))) << "refused before anything is made";
}

// The commands that a help lists, the words before them included.
std::vector<std::vector<std::string>> commands_below(const std::vector<std::string>& command, const std::string& help) {
  std::vector<std::vector<std::string>> all;
  const size_t list = help.find("\nSubcommands:\n");
  std::istringstream lines(list == help.npos ? "" : help.substr(list + 14));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  ") || line.starts_with("   ")) continue;  // the end, or the rest of a text
    all.push_back(command);
    all.back().push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return all;
}

std::string help_of(std::vector<std::string> command) {
  command.push_back("--help");
  return expect_outcome(0, {}, command).out;
}

// What people read is written for them, and not the parser's own notation.
void expect_readable(const std::string& help, const std::string& name) {
  for (const char* raw : {"ENUM", "INT", "FLOAT", "POSITIVE", "NONNEGATIVE", "REQUIRED", "Excludes", "{false}",
                          "{true}", ":{", "->", " OR ", "value in", "=NAME", "(default: )"})
    EXPECT_EQ(help.find(raw), help.npos) << name << " --help has \"" << raw << "\":\n" << help;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 110u) << name << ": " << line;
    EXPECT_EQ(line.find("default: "), line.rfind("default: ")) << name << ": " << line;
    if (!line.starts_with("  -")) continue;
    const size_t gap = line.find("  ", 2);  // a long name has its text on the next line
    if (gap == line.npos) std::getline(lines, line);
    EXPECT_NE(line.find_first_not_of(' ', gap == line.npos ? 0 : gap), line.npos)
        << name << " says nothing of an option";
  }
}

TEST(Usage, HelpOfEveryCommandIsReadable) {
  std::vector<std::vector<std::string>> commands = {{}};
  const std::string all = expect_outcome(0, {}, {"--help-all"}).out;
  for (size_t i = 0; i < commands.size(); ++i) {
    std::string name = "hinoki";
    for (const std::string& word : commands[i]) name += " " + word;
    const std::string help = help_of(commands[i]);
    EXPECT_NE(help.find("Usage: " + name + " ["), help.npos) << help;
    EXPECT_NE(all.find("Usage: " + name + " ["), all.npos) << "--help-all lacks " << name;
    expect_readable(help, name);
    for (auto& below : commands_below(commands[i], help)) commands.push_back(std::move(below));
  }
  EXPECT_GE(commands.size(), 32u) << "the program, 14 commands, and 17 below 4 of them";
}

// One option of each kind, as it is read.
TEST(Usage, HelpSaysWhatAnOptionMayBe) {
  const auto says = [](const std::vector<std::string>& command, const std::vector<std::string>& parts) {
    const std::string help = help_of(command);
    for (const std::string& part : parts) EXPECT_NE(help.find(part), help.npos) << part << " is not in\n" << help;
  };
  says({"bench", "step"},
       {"\n  --dtype NAME                What layers compute in: f32; on cuda also bf16 (default: f32)\n",
        "\n  --steps N                   Steps to time; their median counts (1 to 1048576; default: 10)\n",
        "\n  --json                      Print one line of JSON\n"});
  says({"eval"},
       {"\n  --corpus FOLDER             Folder that `hinoki data text` made with the same tokenizer (required)\n",
        "\n  --sequence N                Tokens of a sequence (above 0; default: 256)\n",
        "\n  --no-ngrams                 Leave"});
  says({"generate"}, {"\n  --prompt TEXT               The text to continue (not with --ids or --prompts)\n",
                      "\n  --stop TEXT ...             Stop before this text (may be repeated)\n"});
  says({"snapshot", "prune"},
       {"\nArguments:\n  path FOLDER                 Run folder, or its snapshots folder (required)\n"});
  says({}, {"\n  --threads N                 Threads, of any command (1 to 1024; default: all cores)\n"});
}

// Before memory is allocated: the program stays as small as one that only printed its version.
TEST(Usage, SizesThatCannotBe) {
  const test::TinyProgram p;
  const std::string config = p.config("run");
  const int64_t small = test::run_program({"--version"}).peak_memory + (32 << 20);
  const auto refused = [&](const std::string& part, const std::string& override) {
    EXPECT_LT(expect_outcome(2, {part}, {"train", config, override}).peak_memory, small) << override;
  };
  refused("vocab_size = 1099511627776 is not between 1 and 2147483647", "model.vocab_size=1099511627776");
  refused("hidden_size = 1099511627776 is not between 1 and", "model.hidden_size=1099511627776");
  refused("num_hidden_layers = 1000000 is not between 0 and", "model.num_hidden_layers=1000000");
  refused("more than can be counted", "train.steps=9223372036854775807");
  refused("the machine has", "model.hidden_size=262144");
  refused("the machine has", "train.batch=1000000");
  EXPECT_FALSE(std::filesystem::exists(p.path("run")));
}

TEST(Usage, FoldersThatAreNoModels) {
  test::TinyProgram p;
  const std::string run = p.trained(), snapshot = p.newest_snapshot(run);
  const std::vector<std::vector<std::string>> commands = {{"generate"},
                                                          {"eval", "--corpus", p.path("tokens")},
                                                          {"import", p.path("out")},
                                                          {"export", p.path("out")},
                                                          {"probe", "--input", "x", "--output", "x.safetensors"}};
  for (std::vector<std::string> command : commands) {
    command.insert(command.begin() + 1, p.path("none"));
    expect_outcome(2, {p.path("none") + ": there is no such folder", "Hugging Face folder"}, command);
    command[1] = run;
    expect_outcome(2, {run + ": is a run folder", "the newest is " + snapshot}, command);
    command[1] = p.path("tokens");
    expect_outcome(3, {p.path("tokens") + "/config.json", "No such file"}, command);
  }
  expect_outcome(2, {p.path("none") + ": there is no such run folder"}, {"train", "--resume", p.path("none")});
  expect_outcome(2, {snapshot + ": is a snapshot; give its run folder"}, {"train", "--resume", snapshot});
  expect_outcome(2, {p.path("tokens") + ": is not a run folder"}, {"train", "--resume", p.path("tokens")});
  expect_outcome(2, {snapshot + " exists"}, {"export", snapshot, snapshot});
  expect_outcome(1, {"cannot create the folder /proc/none.tmp-"}, {"export", snapshot, "/proc/none"});
  EXPECT_FALSE(std::filesystem::exists(p.path("out")));
}

// What was printed to a full device was not printed.
TEST(Usage, OutputThatCannotBeWritten) {
  const test::TinyProgram p;
  const std::string command = std::string(HINOKI_PROGRAM) + " plan " + p.config("run") + " 2>&1 >/dev/full; echo $?";
  const std::string said = output_of(command);
  EXPECT_NE(said.find("cannot write all to standard output: No space left on device"), said.npos) << said;
  EXPECT_TRUE(said.ends_with("1\n")) << said;
}

}  // namespace
}  // namespace hinoki::usage_test
