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
};

class Sampler {
 public:
  explicit Sampler(const Sampling& options) : options_(options) { options.check(); }
  // Puts the token that `logits` (f32, of one position) choose at ids[position], where both are: nothing leaves their
  // device. `ids` (i32) holds all tokens before it, prompt included. The logits are changed in place; they must be
  // finite, else Exit::numerical, which a GPU reports when the program next waits for it.
  void operator()(const Tensor& logits, const Tensor& ids, int64_t position) const;

 private:
  Sampling options_;
};

}  // namespace hinoki
