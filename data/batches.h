// Training examples as a function of their position: nothing to save but one integer.
//
// The token stream of a corpus is cut into windows of length + 1 tokens that overlap by one, as gpt-neox does: window w
// is tokens [w * length, (w + 1) * length]. Each epoch visits all windows in the order of a keyed shuffle.
//
// Several corpora are blended by weight w_k. Positions come in cycles of kBlendCycle; of each cycle, corpus k owns a
// fixed number n_k (largest remainders of w_k, at least 1), and a keyed shuffle of the cycle says which. The j-th place
// of corpus k in cycle c is its example c * n_k + j: so no counting up to a position is ever needed.
#pragma once
#include <span>
#include <vector>

#include "data/token_corpus.h"

namespace hinoki {

inline constexpr int64_t kBlendCycle = 4096;

struct BlendPart {
  const TokenCorpus* corpus;  // outlives the batches
  double weight = 1;
};

// Where an example comes from.
struct Example {
  int64_t part;    // which corpus
  int64_t epoch;   // how often that corpus was gone through before
  int64_t window;  // of that corpus
};

class Batches {
 public:
  Batches(std::vector<BlendPart> parts, int64_t length, uint64_t seed);

  int64_t length() const { return length_; }
  int64_t windows(int64_t part) const { return windows_[part]; }
  Example example(int64_t position) const;
  // The length + 1 tokens of the example at `position`, counted over the whole run and all ranks.
  void fill(int64_t position, std::span<int32_t> tokens) const;
  // Positions after which every corpus was seen once, counted by its share (alone: its number of windows).
  int64_t positions_per_epoch() const;

 private:
  std::vector<BlendPart> parts_;
  std::vector<int64_t> windows_, share_;  // share_: of each cycle
  int64_t length_;
  uint64_t seed_;
};

// All windows of one corpus in order, for validation.
class Windows {
 public:
  Windows(const TokenCorpus& corpus, int64_t length);
  int64_t count() const { return count_; }
  int64_t length() const { return length_; }
  void fill(int64_t window, std::span<int32_t> tokens) const;

 private:
  const TokenCorpus& corpus_;
  int64_t length_, count_;
};

// For attention that stops at document borders: tokens of one document share a number, 0 for the first of the window.
// A document ends with `end_of_text`, which belongs to it.
void number_documents(std::span<const int32_t> tokens, int32_t end_of_text, std::span<int32_t> numbers);

}  // namespace hinoki
