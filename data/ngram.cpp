#include "data/ngram.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"

namespace hinoki {
namespace {

constexpr int64_t kAtOnce = 1 << 16;

uint64_t pair_key(int32_t before, int32_t word) { return (uint64_t(uint32_t(before)) << 32 | uint32_t(word)) + 1; }

template <class Use>
void for_each_piece(const TokenCorpus& corpus, int64_t count, Use&& use) {
  std::vector<int32_t> tokens;
  for (int64_t at = 0; at < count; at += kAtOnce) {
    tokens.resize(std::min(kAtOnce, count - at));
    corpus.read(at, tokens);
    use(std::span<const int32_t>(tokens));
  }
}

}  // namespace

Ngrams::Ngrams(const TokenCorpus& train, int64_t most)
    : words_(train.vocabulary_size()), firsts_(words_.size()), kinds_(words_.size()), pairs_(1 << 12) {
  for_each_piece(train, std::min(most, train.tokens()), [&](std::span<const int32_t> t) { count(t); });
  finish();
}

Ngrams::Ngrams(std::span<const int32_t> tokens, int64_t vocabulary_size)
    : words_(vocabulary_size), firsts_(vocabulary_size), kinds_(vocabulary_size), pairs_(1 << 12) {
  count(tokens);
  finish();
}

Ngrams::Pair& Ngrams::slot(uint64_t key) {
  const size_t mask = pairs_.size() - 1;
  size_t at = (key * 0x9E3779B97F4A7C15u) >> 20 & mask;
  while (pairs_[at].key != 0 && pairs_[at].key != key) at = (at + 1) & mask;
  return pairs_[at];
}

const Ngrams::Pair* Ngrams::find(uint64_t key) const {
  const Pair& found = const_cast<Ngrams*>(this)->slot(key);  // which changes nothing
  return found.key == key ? &found : nullptr;
}

void Ngrams::grow() {
  std::vector<Pair> old(pairs_.size() * 2);
  old.swap(pairs_);
  for (const Pair& p : old)
    if (p.key != 0) slot(p.key) = p;
}

void Ngrams::count(std::span<const int32_t> tokens) {
  for (const int32_t word : tokens) {
    require<Exit::data>(word >= 0 && size_t(word) < words_.size(), "token id ", word, " is not in the vocabulary of ",
                        words_.size());
    ++words_[word];
    ++total_;
    if (last_ >= 0) {
      Pair& p = slot(pair_key(last_, word));
      ++firsts_[last_];
      if (p.key == 0) {
        p.key = pair_key(last_, word);
        ++kinds_[last_];
        ++used_;
      }
      ++p.count;
      if (used_ * 10 > pairs_.size() * 7) grow();
    }
    last_ = word;
  }
}

void Ngrams::finish() {
  double once = 0, twice = 0;
  for (const Pair& p : pairs_) {
    once += p.count == 1;
    twice += p.count == 2;
  }
  // Nothing seen once leaves nothing to discount by; half a count is then as good as any.
  discount_ = once > 0 ? once / (once + 2 * twice) : 0.5;
}

double Ngrams::unigram(int32_t word) const {
  return (double(words_.at(word)) + 1) / (double(total_) + double(words_.size()));
}

double Ngrams::bigram(int32_t before, int32_t word) const {
  const double general = unigram(word);
  const int64_t first = firsts_.at(before);
  if (first == 0) return general;
  const Pair* pair = find(pair_key(before, word));
  const double seen = pair ? std::max(double(pair->count) - discount_, 0.0) : 0.0;
  return (seen + discount_ * double(kinds_[before]) * general) / double(first);
}

void Ngrams::add(NgramNats& sum, int32_t before, int32_t word) const {
  sum.unigram -= std::log(unigram(word));
  sum.bigram -= std::log(bigram(before, word));
  ++sum.tokens;
}

NgramNats Ngrams::evaluate(std::span<const int32_t> tokens) const {
  NgramNats sum;
  for (size_t i = 1; i < tokens.size(); ++i) add(sum, tokens[i - 1], tokens[i]);
  if (sum.tokens > 0) sum.unigram /= double(sum.tokens), sum.bigram /= double(sum.tokens);
  return sum;
}

NgramNats Ngrams::evaluate(const TokenCorpus& corpus) const {
  NgramNats sum;
  int32_t before = -1;
  for_each_piece(corpus, corpus.tokens(), [&](std::span<const int32_t> tokens) {
    for (const int32_t word : tokens) {
      if (before >= 0) add(sum, before, word);
      before = word;
    }
  });
  if (sum.tokens > 0) sum.unigram /= double(sum.tokens), sum.bigram /= double(sum.tokens);
  return sum;
}

}  // namespace hinoki
