// How a token is chosen from logits (kernels/sampling.h), as a user says it.
#pragma once
#include "core/tensor.h"

namespace hinoki {

struct Sampling {
  double temperature = 1;         // 0: the most likely token
  int64_t top_k = 0;              // 0: off
  double top_p = 1;               // 1: off
  double repetition_penalty = 1;  // 1: off
  uint64_t seed = 0;

  void check() const;  // Exit::usage
  bool needs_context() const { return repetition_penalty != 1; }
};

// A token for each row, all on one device. What is drawn is a function of a row's logits and context, the seed, its
// sample and its position: the other rows do not matter.
struct SampledRows {
  Tensor logits;                // f32 [rows, ids], changed in place; finite, else Exit::numerical, which a GPU reports
                                // when the program next waits for it
  int64_t usable = 0;           // ids from here on are never drawn; 0: all are usable
  Tensor positions;             // i32 [rows]: how many tokens stand before it, prompt included
  Tensor samples;               // i64 [rows]: number of the sample it belongs to
  Tensor context, lines;        // i32 [lines, capacity], i32 [rows]: the tokens before it, for a repetition penalty; the
                                // new one is put behind them. Undefined without a penalty.
  Tensor tokens;                // i32 [rows], written
  Tensor log_probabilities{};   // f32 [rows], written where defined: of softmax(logits / temperature)
};

class Sampler {
 public:
  explicit Sampler(const Sampling& options) : options_(options) { options.check(); }
  void operator()(const SampledRows& rows) const;
  const Sampling& options() const { return options_; }

 private:
  Sampling options_;
};

}  // namespace hinoki
