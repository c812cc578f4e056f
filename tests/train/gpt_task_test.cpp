// What data.* means to a run of recipe "gpt": where attention ends.
#include "train/gpt_task.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <map>
#include <sstream>

#include "data/token_shard.h"
#include "tests/support/expect_error.h"
#include "tests/support/quiet_test.h"
#include "tests/support/tiny_run.h"
#include "train/commands.h"
#include "train/run.h"

namespace hinoki::gpt_task_test {
namespace {

using Figures = std::map<std::string, double>;

Figures validated(const GptConfig& c) {
  hinoki::Run run(c);
  Figures all;
  for (const Scalar& s : run.validate().scalars) EXPECT_TRUE(all.emplace(s.tag, s.value).second) << s.tag;
  return all;
}

class GptTaskTest : public test::QuietTest<> {
 protected:
  // Without dropout: the loss of a step follows from weights and data alone.
  GptConfig config() const {
    GptConfig c = tiny.config;
    c.model.gpt_neox.hidden_dropout = c.model.gpt_neox.attention_dropout = 0;
    return c;
  }
  // A corpus of documents of `length` tokens, end-of-text among them, and of as many characters unless told otherwise.
  std::string write_corpus(const std::string& name, int64_t length, int64_t characters = 0,
                           const std::vector<std::string>& splits = {"train", "validation"}) const {
    const Tokenizer tokenizer = Tokenizer::load(config().data.tokenizer);
    for (const std::string& split : splits) {
      std::filesystem::create_directories(tiny.folder / name);
      TokenShardWriter shard(shard_path(tiny.folder / name, split, 0),
                             {.split = split, .tokenizer_hash = tokenizer.hash(), .vocabulary_size = tokenizer.size()});
      for (int64_t document = 0; document < 200; ++document) {
        std::vector<int32_t> ids;
        for (int64_t i = 0; i < length - 1; ++i) ids.push_back(int32_t(270 + (document * 31 + i * i) % 50));
        ids.push_back(tokenizer.eos());
        shard.append(ids);
        shard.end_document(3 * length, characters ? characters : length);
      }
      shard.publish();
    }
    return (tiny.folder / name).string();
  }
  std::vector<double> losses(const GptConfig& c, int64_t steps) const {
    hinoki::Run run(c);
    std::vector<double> all;
    while (run.steps_done() < steps) all.push_back(run.step().loss);
    return all;
  }

  test::TinyRun tiny;
};

TEST_F(GptTaskTest, AttentionIsResetWhereADocumentEnds) {
  GptConfig across = config(), within = config();
  within.data.reset_attention = true;
  const auto free = losses(across, 3), reset = losses(within, 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_GT(std::abs(free[i] - reset[i]), 1e-4) << "step " << i + 1;
}

// Where every row is one document there is nothing to reset, and no bit differs; in rows of two it does.
TEST_F(GptTaskTest, AttentionInsideADocumentIsNotReset) {
  write_corpus("sixteen", 16);
  write_corpus("eight", 8);
  for (const char* corpus : {"sixteen", "eight"}) {
    GptConfig across = config();
    across.data.corpora = {{.path = (tiny.folder / corpus).string()}};
    GptConfig within = across;
    within.data.reset_attention = true;
    EXPECT_EQ(losses(across, 5) == losses(within, 5), std::string(corpus) == "sixteen") << corpus;
    EXPECT_EQ(validated(across) == validated(within), std::string(corpus) == "sixteen") << corpus;
  }
}

// By hand from the figures of each corpus alone; they differ in loss, in windows and in characters a token.
TEST_F(GptTaskTest, ABlendIsValidatedByItsWeights) {
  const CorpusConfig a{.path = write_corpus("a", 16, 40), .weight = 6}, b{.path = write_corpus("b", 9, 5), .weight = 2};
  const auto of = [&](std::vector<CorpusConfig> corpora) {
    GptConfig c = config();
    c.data.corpora = std::move(corpora);
    return validated(c);
  };
  const Figures only_a = of({a}), only_b = of({b}), both = of({a, b}), turned = of({b, a});
  ASSERT_GT(std::abs(only_a.at("validation/loss") - only_b.at("validation/loss")), 1e-3);
  const auto by_hand = [&](const char* tag) { return 0.75 * only_a.at(tag) + 0.25 * only_b.at(tag); };
  for (const char* tag : {"validation/loss", "validation/bits_per_character"}) {
    EXPECT_DOUBLE_EQ(both.at(tag), by_hand(tag)) << tag;
    EXPECT_DOUBLE_EQ(turned.at(tag), by_hand(tag)) << tag;
  }
  EXPECT_DOUBLE_EQ(both.at("validation/perplexity"), std::exp(by_hand("validation/loss")));
  // 16 tokens for 40 characters, and 9 for 5.
  EXPECT_DOUBLE_EQ(only_a.at("validation/bits_per_character"), only_a.at("validation/loss") / std::log(2) * 16 / 40);
  EXPECT_DOUBLE_EQ(only_b.at("validation/bits_per_character"), only_b.at("validation/loss") / std::log(2) * 9 / 5);

  for (const auto& [tag, value] : only_a) EXPECT_EQ(both.at(tag + "/" + a.path), value) << tag;
  for (const auto& [tag, value] : only_b) EXPECT_EQ(both.at(tag + "/" + b.path), value) << tag;
  EXPECT_EQ(only_a.size(), 3u) << "a corpus alone has nothing to add";
  EXPECT_EQ(both.size(), 9u);
}

// The same figures from the snapshot: with as many sequences, of each corpus by itself, where attention crosses the
// borders of documents and where it does not.
class EvalTest : public GptTaskTest, public testing::WithParamInterface<bool> {};
TEST_P(EvalTest, GivesWhatTheRunFoundOfEachCorpus) {
  GptConfig c = config();
  c.data.reset_attention = GetParam();
  c.data.corpora = {{.path = write_corpus("a", 16, 40)}, {.path = write_corpus("b", 9, 5), .weight = 3}};
  c.log.evaluate_sequences = 10;
  hinoki::Run run(c);
  run.step();
  const std::string snapshot = run.save();
  std::istringstream lines(run.validate().text);
  std::string blend, line;
  std::getline(lines, blend);
  for (const CorpusConfig& corpus : c.data.corpora) {
    CLI::App app;
    add_eval_command(app);
    testing::internal::CaptureStdout();
    app.parse(say("eval ", snapshot, " --no-ngrams --sequence 16 --sequences 10 --corpus ", corpus.path,
                  GetParam() ? " --reset-attention" : ""));
    const std::string said = testing::internal::GetCapturedStdout();
    std::getline(lines, line);
    const size_t loss = line.find(": ") + 2, nats = line.find(" nats"), bits = line.rfind(' ', line.find(" bits") - 1);
    EXPECT_EQ(line.substr(0, loss), say("  | ", corpus.path, ": "));
    EXPECT_NE(said.find(line.substr(loss, nats - loss) + " nats/token"), said.npos) << line << "\n" << said;
    EXPECT_NE(said.find(line.substr(bits, line.find('(') - bits - 1)), said.npos) << line << "\n" << said;
    EXPECT_EQ(line.substr(line.find('(')), "(160 tokens)");
  }
  EXPECT_TRUE(blend.ends_with("(320 tokens)")) << blend;
}
INSTANTIATE_TEST_SUITE_P(Borders, EvalTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "reset" : "crossed"; });

TEST_F(GptTaskTest, ACorpusWithoutValidationIsRefusedOrLeftOut) {
  GptConfig c = config();
  const Figures alone = validated(c);
  c.data.corpora.push_back({.path = write_corpus("trained", 16, 16, {"train"})});
  EXPECT_ERROR(hinoki::Run{c}, Exit::data,
               "/trained: its validation split has 0 tokens, one sequence needs 17; prepare more text, raise "
               "the validation fraction, train on shorter sequences, or leave it out with data.corpora.1.validate=false");
  c.data.corpora[1].validate = false;
  EXPECT_EQ(validated(c), alone);
  c.data.corpora[0].validate = false;
  EXPECT_ERROR(c.check(), Exit::usage, "no corpus is left to validate");
  c.data.corpora = {c.data.corpora[1], c.data.corpora[1]};
  EXPECT_ERROR(c.check(), Exit::usage, "/trained\" twice; give it once, with the sum of the weights");
}

}  // namespace
}  // namespace hinoki::gpt_task_test
