// hinoki generate: what it refuses, where it stops, and that no write of it ever ends inside a character.
#include <gtest/gtest.h>

#include "core/base/json.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "tests/end_to_end/tiny_program.h"
#include "tests/support/chain_model.h"

namespace hinoki::generate_test {
namespace {

using test::expect_outcome;
using Strings = std::vector<std::string>;

std::string times(int n, const std::string& s) {
  std::string all;
  for (int i = 0; i < n; ++i) all += s;
  return all;
}

TEST(Generate, RefusesWhatCannotBe) {
  test::TinyProgram p;
  const std::string model = p.newest_snapshot(p.trained());
  const auto refused = [&](const std::string& part, const Strings& options) {
    Strings all{"generate", model};
    all.insert(all.end(), options.begin(), options.end());
    EXPECT_EQ(expect_outcome(2, {part}, all).out, "") << "a prompt is echoed only if it is continued";
  };
  refused("the prompt has 600 tokens, the model's positions end at 64", {"--prompt", times(200, "あ")});
  refused("temperature -1 is not a number from 0 on", {"--prompt", "x", "--temperature", "-1"});
  refused("temperature nan", {"--prompt", "x", "--temperature", "nan"});
  refused("top-p 0 is not in (0, 1]", {"--prompt", "x", "--top-p", "0"});
  refused("top-k -2 is negative", {"--prompt", "x", "--top-k", "-2"});
  refused("repetition penalty inf", {"--prompt", "x", "--repetition-penalty", "inf"});
  refused("-5 new tokens are negative", {"--prompt", "x", "--max-tokens", "-5"});
  refused("--prompt \"x\xE3\x81\" is not UTF-8 at byte 1", {"--prompt", "x\xE3\x81"});
  refused("--stop \"\x81\" is not UTF-8 at byte 0", {"--prompt", "x", "--stop", "\x81"});
  refused("token id 384 is not in the model's vocabulary of 384", {"--ids", "5 384", "--output-ids"});
  refused("\"-1\" is not a token id", {"--ids", "5 -1"});
  refused("\"99999999999\" is not a token id", {"--ids", "5 99999999999"});
  refused("\"-\" is not a token id", {"--ids", "5 -"});
  refused("the prompt has no tokens", {"--ids", ""});
  refused("--prompt excludes --ids", {"--ids", "5", "--prompt", "x"});
  const std::string file = p.tiny.folder.write("ids.json", "{\"ids\": [[1, 1099511627776]]}").string();
  expect_outcome(3, {file, "1099511627776 is not a token id of this model, whose vocabulary is 384"},
                 {"probe", model, "--input", file, "--output", p.path("p.safetensors")});
  expect_outcome(2, {"\"x\" is not a token id"}, {"tokenizer", "decode", "--tokenizer", model, "x"});
  expect_outcome(3, {"token id 4000 is not in the vocabulary of 320"},
                 {"tokenizer", "decode", "--tokenizer", model, "4000"});
}

TEST(Generate, TakesWhatCanBe) {
  test::TinyProgram p;
  const std::string model = p.newest_snapshot(p.trained());
  EXPECT_NE(expect_outcome(0, {}, {"generate", model, "--prompt", "", "--max-tokens", "5"}).out, "");
  EXPECT_EQ(expect_outcome(0, {}, {"generate", model, "--prompt", "猫は", "--max-tokens", "0"}).out, "猫は\n");
  // As many as there are positions, and not one more.
  const std::string ids = expect_outcome(0, {},
                                         {"generate", model, "--ids", "5 6", "--max-tokens", "9223372036854775807",
                                          "--output-ids", "--seed", "5"})
                              .out;
  EXPECT_LE(std::count(ids.begin(), ids.end(), ' ') + 1, 62);
  std::filesystem::remove(model + "/spiece.model");
  expect_outcome(3, {"cannot open the tokenizer", model}, {"generate", model, "--prompt", "x"});
  expect_outcome(0, {}, {"generate", model, "--ids", "5", "--max-tokens", "3", "--output-ids"});
}

TEST(Generate, ContinuesAFileOfPromptsAsEachAlone) {
  test::TinyProgram p;
  const std::string model = p.newest_snapshot(p.trained());
  const std::string file = p.tiny.folder.write("prompts.jsonl", "猫は\n\n{\"prompt\": \"犬\"}\n").string();
  const auto run = [&](const std::string& batch) {
    return expect_outcome(0, {}, {"generate", model, "--prompts", file, "--batch", batch, "--samples", "2", "--max-tokens",
                                  "6", "--seed", "3"})
        .out;
  };
  const std::string all = run("3");
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 4);
  EXPECT_EQ(all, run("1"));
  const Json first = Json::parse(all.substr(0, all.find('\n')));
  const std::string alone =
      expect_outcome(0, {}, {"generate", model, "--prompt", "猫は", "--max-tokens", "6", "--seed", "3"}).out;
  EXPECT_EQ("猫は" + first["text"].get<std::string>() + "\n", alone);
  const std::string bad = p.tiny.folder.write("bad.jsonl", "x\n{\"text\": 1}\n").string();
  expect_outcome(3, {bad + ":2", "no JSON object with a text \"prompt\""}, {"generate", model, "--prompts", bad});
  expect_outcome(2, {"--samples and --batch are from 1 on"}, {"generate", model, "--prompts", file, "--batch", "0"});
  expect_outcome(0, {}, {"generate", model, "--prompt", "猫は", "--max-tokens", "3", "--dtype", "bf16"});
}

// Characters of two, three and four bytes, one that breaks off, a byte that never is one. No byte comes twice, so that
// each has one successor.
TEST(Generate, NoWriteEndsInsideACharacter) {
  test::TinyProgram p;
  const std::string spiece = p.path("spiece.model");
  const Tokenizer tokenizer = Tokenizer::load(spiece);
  std::vector<int32_t> chain = tokenizer.encode("犬");
  const auto add = [&](const std::vector<int32_t>& ids) { chain.insert(chain.end(), ids.begin(), ids.end()); };
  add(test::byte_ids(tokenizer, "\xC3\xA9\xE3\x81\x82\xF0\x9F\x90\xB1\xE4\xBD"));
  add(tokenizer.encode("空"));
  add(test::byte_ids(tokenizer, "\xFF"));
  add({tokenizer.eos()});
  const std::string model = test::ChainModel(tokenizer.size(), chain).write(p.path("chain"), spiece);

  const auto continued = [&](const Strings& options) {
    Strings all{"generate", model, "--prompt", "犬", "--temperature", "0"};
    all.insert(all.end(), options.begin(), options.end());
    const test::Outcome outcome = expect_outcome(0, {}, all);
    for (const std::string& piece : outcome.writes) EXPECT_EQ(utf8_valid_until(piece), piece.size()) << piece;
    return outcome;
  };
  const test::Outcome all = continued({});
  EXPECT_EQ(all.out, "犬éあ🐱\uFFFD\uFFFD空\uFFFD\n");
  EXPECT_GE(all.writes.size(), 4u) << "it streams: a character is written as soon as it is whole";
  EXPECT_EQ(continued({"--max-tokens", "4"}).out, "犬é\uFFFD\uFFFD\n") << "cut in the middle of あ";
  EXPECT_EQ(continued({"--stop", "🐱"}).out, "犬éあ\n");
  EXPECT_EQ(continued({"--stop", "あ🐱x", "--stop", "空"}).out, "犬éあ🐱\uFFFD\uFFFD\n");
  EXPECT_EQ(continued({"--stop", "é"}).out, "犬\n");
  EXPECT_EQ(continued({"--stop", ""}).out, all.out) << "an empty stop string is none";
}

}  // namespace
}  // namespace hinoki::generate_test
