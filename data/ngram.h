// What counting alone predicts: the yardsticks beside a model's loss. Counted on the training tokens, evaluated in nats
// per token on others; the first token of a stream has nothing before it and is not predicted.
//
//   unigram    p(w) = (c(w) + 1) / (N + V)
//   bigram     p(w | v) = max(c(v w) - D, 0) / c(v) + D t(v) / c(v) p(w),   p(w | v) = p(w) if c(v) = 0
//
// where N counts all tokens, V the vocabulary, c(v) the pairs that begin with v and t(v) how many different ones these
// are; D = n1 / (n1 + 2 n2) from the numbers of pairs seen once and twice (absolute discounting: Ney, Essen and Kneser,
// "On structuring probabilistic dependences in stochastic language modelling", 1994).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/token_corpus.h"

namespace hinoki {

struct NgramNats {
  double unigram = 0, bigram = 0;  // nats per predicted token
  int64_t tokens = 0;              // predicted
};

class Ngrams {
 public:
  // Counts at most the first `most` tokens: memory is 16 bytes or less for each of them, and much less in practice.
  Ngrams(const TokenCorpus& train, int64_t most = int64_t{100} << 20);
  Ngrams(std::span<const int32_t> tokens, int64_t vocabulary_size);

  double unigram(int32_t word) const;
  double bigram(int32_t before, int32_t word) const;
  double discount() const { return discount_; }
  NgramNats evaluate(const TokenCorpus& corpus) const;
  NgramNats evaluate(std::span<const int32_t> tokens) const;

 private:
  void count(std::span<const int32_t> tokens);  // with the last token of the call before
  void finish();
  void grow();
  struct Pair {
    uint64_t key = 0;  // before << 32 | word, plus one: 0 is free
    int64_t count = 0;
  };
  Pair& slot(uint64_t key);
  const Pair* find(uint64_t key) const;
  void add(NgramNats& sum, int32_t before, int32_t word) const;

  std::vector<int64_t> words_, firsts_, kinds_;  // c(w), c(v), t(v)
  std::vector<Pair> pairs_;                      // open addressing; a power of two of them
  size_t used_ = 0;
  int64_t total_ = 0;
  int32_t last_ = -1;
  double discount_ = 0;
};

}  // namespace hinoki
