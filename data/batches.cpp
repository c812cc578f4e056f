#include "data/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "data/order.h"

namespace hinoki {
namespace {

int64_t windows_of(const TokenCorpus& corpus, int64_t length) {
  require<Exit::usage>(length > 0, "a sequence of ", length, " tokens is too short");
  const int64_t count = (corpus.tokens() - 1) / length;
  require<Exit::data>(count > 0, "the corpus ", corpus.folder(), " has ", corpus.tokens(),
                      " tokens in this split, one sequence needs ", length + 1,
                      "; prepare more text, raise the validation fraction, or train on shorter sequences");
  return count;
}

// Largest remainders: whole numbers that sum to the cycle and differ from the exact shares by less than one.
std::vector<int64_t> shares_of(const std::vector<BlendPart>& parts) {
  double sum = 0;
  for (const BlendPart& p : parts) {
    require<Exit::usage>(std::isfinite(p.weight) && p.weight > 0, "the weight of the corpus ", p.corpus->folder(),
                         " is ", p.weight, "; it must be above zero");
    sum += p.weight;
  }
  std::vector<int64_t> share(parts.size());
  std::vector<double> rest(parts.size());
  for (size_t k = 0; k < parts.size(); ++k) {
    const double exact = parts[k].weight / sum * double(kBlendCycle);
    share[k] = std::max<int64_t>(1, int64_t(exact));
    rest[k] = exact - double(share[k]);
  }
  const auto total = [&] { return std::accumulate(share.begin(), share.end(), int64_t{0}); };
  while (total() < kBlendCycle) {
    const auto k = std::max_element(rest.begin(), rest.end()) - rest.begin();
    ++share[k], rest[k] -= 1;
  }
  while (total() > kBlendCycle) --*std::max_element(share.begin(), share.end());
  return share;
}

}  // namespace

Batches::Batches(std::vector<BlendPart> parts, int64_t length, uint64_t seed)
    : parts_(std::move(parts)), length_(length), seed_(seed) {
  require<Exit::usage>(!parts_.empty() && int64_t(parts_.size()) <= kBlendCycle / 2, "training needs between 1 and ",
                       kBlendCycle / 2, " corpora, not ", parts_.size());
  for (const BlendPart& p : parts_) {
    require<Exit::data>(p.corpus->tokenizer_hash() == parts_[0].corpus->tokenizer_hash(), "the corpora ",
                        parts_[0].corpus->folder(), " and ", p.corpus->folder(),
                        " were made with different tokenizers and cannot be blended; prepare one of them again");
    windows_.push_back(windows_of(*p.corpus, length));
  }
  share_ = shares_of(parts_);
}

Example Batches::example(int64_t position) const {
  require(position >= 0, "there is no example at position ", position);
  int64_t part = 0, index = position;
  if (parts_.size() > 1) {
    const int64_t cycle = position / kBlendCycle;
    int64_t place = Shuffle{seed_, hash_name("blend"), uint64_t(cycle), kBlendCycle}(position % kBlendCycle);
    while (place >= share_[part]) place -= share_[part++];
    index = cycle * share_[part] + place;
  }
  const int64_t count = windows_[part], epoch = index / count;
  const Shuffle shuffle{seed_, hash_name("windows") + uint64_t(part), uint64_t(epoch), count};
  return {.part = part, .epoch = epoch, .window = shuffle(index % count)};
}

void Batches::fill(int64_t position, std::span<int32_t> tokens) const {
  require(int64_t(tokens.size()) == length_ + 1, "an example has ", length_ + 1, " tokens, not ", tokens.size());
  const Example e = example(position);
  parts_[e.part].corpus->read(e.window * length_, tokens);
}

int64_t Batches::positions_per_epoch() const {
  if (parts_.size() == 1) return windows_[0];
  double most = 0;
  for (size_t k = 0; k < parts_.size(); ++k)
    most = std::max(most, double(windows_[k]) * double(kBlendCycle) / double(share_[k]));
  return int64_t(std::ceil(most));
}

Windows::Windows(const TokenCorpus& corpus, int64_t length)
    : corpus_(corpus), length_(length), count_(windows_of(corpus, length)) {}

void Windows::fill(int64_t window, std::span<int32_t> tokens) const {
  require(window >= 0 && window < count_ && int64_t(tokens.size()) == length_ + 1, "window ", window, " of ", count_,
          " into room for ", tokens.size());
  corpus_.read(window * length_, tokens);
}

void number_documents(std::span<const int32_t> tokens, int32_t end_of_text, std::span<int32_t> numbers) {
  require(tokens.size() == numbers.size(), tokens.size(), " tokens need as many document numbers, not ",
          numbers.size());
  int32_t document = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    numbers[i] = document;
    document += tokens[i] == end_of_text;
  }
}

}  // namespace hinoki
