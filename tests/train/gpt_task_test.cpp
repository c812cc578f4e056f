// What data.* means to a run of recipe "gpt": where attention ends.
#include "train/gpt_task.h"

#include <gtest/gtest.h>

#include "data/token_shard.h"
#include "tests/support/quiet_test.h"
#include "tests/support/tiny_run.h"
#include "train/run.h"

namespace hinoki {
namespace {

class GptTaskTest : public test::QuietTest<> {
 protected:
  // Without dropout: the loss of a step follows from weights and data alone.
  GptConfig config() const {
    GptConfig c = tiny.config;
    c.model.gpt_neox.hidden_dropout = c.model.gpt_neox.attention_dropout = 0;
    return c;
  }
  // A corpus of documents of `length` tokens, end-of-text among them.
  void write_corpus(const std::string& name, int64_t length) const {
    const Tokenizer tokenizer = Tokenizer::load(config().data.tokenizer);
    for (const char* split : {"train", "validation"}) {
      std::filesystem::create_directories(tiny.folder / name);
      TokenShardWriter shard(shard_path(tiny.folder / name, split, 0), {.split = split,
                                                                        .tokenizer_hash = tokenizer.hash(),
                                                                        .vocabulary_size = tokenizer.size()});
      for (int64_t document = 0; document < 200; ++document) {
        std::vector<int32_t> ids;
        for (int64_t i = 0; i < length - 1; ++i) ids.push_back(int32_t(270 + (document * 31 + i * i) % 50));
        ids.push_back(tokenizer.eos());
        shard.append(ids);
        shard.end_document(3 * length, length);
      }
      shard.publish();
    }
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
  }
}

}  // namespace
}  // namespace hinoki
