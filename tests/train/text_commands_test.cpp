// The tokenizer and data commands, from the command line on.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "data/token_corpus.h"
#include "tests/data/awkward.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "train/commands.h"

namespace hinoki::text_commands_test {
namespace {

std::string run(std::vector<std::string> arguments) {
  CLI::App app;
  add_data_command(app);
  add_tokenizer_command(app);
  std::reverse(arguments.begin(), arguments.end());
  testing::internal::CaptureStdout();
  try {
    app.parse(arguments);
  } catch (...) {
    std::fputs(testing::internal::GetCapturedStdout().c_str(), stdout);
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

}  // namespace

TEST(TextCommands, TrainEncodeDecodeExplainPrepare) {
  const TemporaryFolder folder;
  std::string text;
  for (const std::string& line : awkward_lines(800)) text += line + "\n";
  const std::string input = folder.write("in.txt", text).string(), model = (folder / "model").string();
  const std::string output = (folder / "out").string();
  const std::string said = run({"tokenizer", "train", "--input", input, "--output", model, "--vocabulary-size", "450",
                                "--sample-lines", "500", "--newline", "symbol"});
  const Tokenizer t = Tokenizer::load(folder / "model");
  EXPECT_EQ(said, model + "/spiece.model: 450 pieces, hash " + t.hash() + "\n");
  EXPECT_EQ(t.newline(), Newline::symbol);

  std::string ids = run({"tokenizer", "encode", "--tokenizer", model, "吾輩は　猫である。"});
  ids.pop_back();
  EXPECT_EQ(run({"tokenizer", "decode", "--tokenizer", model, ids}), "吾輩は　猫である。\n");
  const std::string table = run({"tokenizer", "explain", "--tokenizer", model, "猫"});
  EXPECT_NE(table.find("e7 8c ab"), std::string::npos) << table;
  EXPECT_ERROR(run({"tokenizer", "decode", "--tokenizer", model, "12 x3"}), Exit::usage, "\"x3\" is not a token id");
  EXPECT_ERROR(run({"tokenizer", "decode", "--tokenizer", model, "450"}), Exit::data, "vocabulary of 450");

  const std::vector<std::string> prepare{"data",
                                         "text",
                                         "--input",
                                         input,
                                         "--tokenizer",
                                         model,
                                         "--output",
                                         output,
                                         "--documents",
                                         "line",
                                         "--min-characters",
                                         "3",
                                         "--nfkc",
                                         "--validation-fraction",
                                         "0.1"};
  const std::string report = run(prepare);
  // Four of the 800 are nothing but spaces.
  EXPECT_NE(report.find("read        1 files (0 empty), " + std::to_string(text.size()) + " bytes, 796 lines\n"),
            std::string::npos)
      << report;
  const TokenCorpus train(output, "train", t.hash()), validation(output, "validation", t.hash());
  EXPECT_GT(train.documents(), 500);
  EXPECT_GT(validation.documents(), 30);  // 80 expected, standard deviation 8.5
  EXPECT_NE(run(prepare).find("already holds this corpus"), std::string::npos);
  EXPECT_THROW(run({"data", "text", "--input", input, "--documents", "page"}), CLI::ParseError);
}

}  // namespace hinoki::text_commands_test
