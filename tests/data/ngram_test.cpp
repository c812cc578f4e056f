#include "data/ngram.h"

#include <cmath>
#include <numeric>

#include "core/base/philox.h"
#include "data/token_shard.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::ngram_test {
namespace {

std::vector<int32_t> random_tokens(int64_t count, int32_t vocabulary, uint64_t seed) {
  std::vector<int32_t> tokens{0};
  // The next token depends on the last one: half the time it is the one after it.
  for (int64_t i = 1; i < count; ++i) {
    const Random4 r = philox({.seed = seed}, uint64_t(i));
    tokens.push_back(r[0] & 1 ? (tokens.back() + 1) % vocabulary : int32_t(r[1] % uint32_t(vocabulary)));
  }
  return tokens;
}

}  // namespace

TEST(Ngrams, CountsAreTheFormula) {
  // Pairs: 01 twice, 12, 10, 21 once each... written out by hand.
  const std::vector<int32_t> tokens{0, 1, 2, 1, 0, 1};
  const Ngrams n(tokens, 4);
  EXPECT_DOUBLE_EQ(n.unigram(1), (3 + 1) / double(6 + 4));
  EXPECT_DOUBLE_EQ(n.unigram(3), 1 / 10.0);
  const double d = 3.0 / (3 + 2 * 1);  // 12, 21, 10 once; 01 twice
  EXPECT_DOUBLE_EQ(n.discount(), d);
  EXPECT_DOUBLE_EQ(n.bigram(0, 1), (2 - d) / 2 + d * 1 / 2 * 0.4);
  EXPECT_DOUBLE_EQ(n.bigram(1, 3), d * 2 / 2 * 0.1);
  EXPECT_DOUBLE_EQ(n.bigram(3, 1), 0.4);  // nothing follows 3
  const NgramNats nats = n.evaluate(std::vector<int32_t>{0, 1, 3});
  EXPECT_EQ(nats.tokens, 2);
  EXPECT_DOUBLE_EQ(nats.unigram, -(std::log(0.4) + std::log(0.1)) / 2);
  EXPECT_DOUBLE_EQ(nats.bigram, -(std::log(n.bigram(0, 1)) + std::log(n.bigram(1, 3))) / 2);
}

// Sums of up to 50 terms near 1/50: rounding stays far below 1e-12.
TEST(Ngrams, ProbabilitiesSumToOne) {
  const Ngrams n(random_tokens(20000, 50, 3), 51);
  double sum = 0;
  for (int32_t w = 0; w < 51; ++w) sum += n.unigram(w);
  EXPECT_NEAR(sum, 1, 1e-12);
  for (int32_t v = 0; v < 51; ++v) {
    sum = 0;
    for (int32_t w = 0; w < 51; ++w) sum += n.bigram(v, w);
    EXPECT_NEAR(sum, 1, 1e-12) << v;
  }
}

TEST(Ngrams, ShardsGiveTheSameAsTokensAndBigramsLearnMore) {
  const TemporaryFolder folder;
  const auto train = random_tokens(150000, 300, 1), held = random_tokens(70000, 300, 2);
  for (const char* split : {"train", "validation"}) {
    TokenShardWriter shard(shard_path(folder.path(), split, 0),
                           {.split = split, .tokenizer_hash = "a", .vocabulary_size = 300});
    shard.append(split[0] == 't' ? train : held);
    shard.end_document(1, 1);
    shard.publish();
  }
  const Ngrams from_shards(TokenCorpus(folder.path(), "train", "a")), from_tokens(train, 300);
  const NgramNats a = from_shards.evaluate(TokenCorpus(folder.path(), "validation", "a"));
  const NgramNats b = from_tokens.evaluate(held);
  EXPECT_EQ(a.tokens, 69999);
  EXPECT_DOUBLE_EQ(a.unigram, b.unigram);
  EXPECT_DOUBLE_EQ(a.bigram, b.bigram);
  EXPECT_NEAR(a.unigram, std::log(300), 0.01);  // each token is as likely as any other
  // The true entropy is that of 1/2 + 1/600 once and 1/600 for 299 others; counts from 150000 tokens come near it.
  const double once = 0.5 + 1 / 600.0, entropy = -once * std::log(once) + 299 / 600.0 * std::log(600);
  EXPECT_GT(a.bigram, entropy - 0.02);
  EXPECT_LT(a.bigram, entropy + 0.3);
  EXPECT_ERROR(Ngrams(train, 100), Exit::data, "is not in the vocabulary of 100");
}

}  // namespace hinoki::ngram_test
