// Sequences that grow token by token, with their keys and values: what generation and conversations stand on.
#pragma once
#include <span>

#include "models/causal_lm.h"
#include "models/sampling.h"

namespace hinoki {

class TokenLines {
 public:
  // Room for `lines` sequences of up to `capacity` tokens, all empty. Ids from `usable_vocab` on are never drawn; 0: all
  // may be.
  TokenLines(const CausalLm& model, const Sampling& sampling, int64_t lines, int64_t capacity,
             int64_t usable_vocab = 0);

  struct Growth {
    int32_t line;
    std::span<const int32_t> tokens;  // at least one
    int64_t sample = 0;               // whose randomness is drawn
  };
  struct Drawn {
    int32_t token;
    float log_probability;  // of softmax(logits / temperature); 0 unless asked for
  };
  // Puts tokens behind those of some lines, in one pass over the model, and draws what follows in each. What is drawn is
  // not put there. On the CPU it is bit for bit what a call for that line alone would draw.
  std::vector<Drawn> grow(std::span<const Growth> rows, bool log_probabilities = false);
  // Forgets what comes after the first `length` tokens of a line.
  void cut(int32_t line, int64_t length);

  int64_t length(int32_t line) const { return lengths_[size_t(line)]; }
  int64_t capacity() const { return capacity_; }

 private:
  void note_context(std::span<const Growth> rows);
  Tensor last_hidden(std::span<const Growth> rows, const CacheRows& places, int64_t time) const;

  const CausalLm& model_;
  Sampler sampler_;
  int64_t capacity_, usable_vocab_;
  std::vector<KeyValueCache> caches_;
  std::vector<int32_t> lengths_;
  Tensor context_;  // i32 [lines, capacity + 1], where the sampler needs it
  std::vector<std::pair<int32_t, int32_t>> appended_;  // by line: a token the sampler put into it, and where
};

}  // namespace hinoki
