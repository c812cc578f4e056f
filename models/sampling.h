// How a token is chosen from logits (kernels/sampling.h), as a user says it.
#pragma once
#include <cstdint>
#include <span>

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
  // `logits` of one position, which must be finite (else Exit::numerical), are changed in place. `context` holds all
  // tokens before it, prompt included.
  int32_t operator()(std::span<float> logits, std::span<const int32_t> context);

 private:
  Sampling options_;
};

}  // namespace hinoki
