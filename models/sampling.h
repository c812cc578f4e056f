// From logits to a token, in the order transformers applies its processors: repetition penalty (Keskar et al. 2019),
// temperature, top-k, top-p (Holtzman et al. 2020).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/philox.h"

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
  // `logits` of one position, which must be finite (else Exit::numerical), are changed in place. `context` holds all tokens before it, prompt included. The random
  // number is a function of the seed and the position (context.size()) alone. Ties go to the smaller id.
  int32_t operator()(std::span<float> logits, std::span<const int32_t> context);

 private:
  Sampling options_;
  std::vector<int32_t> order_;  // candidate ids, most likely first; kept between calls
  std::vector<bool> seen_;
};

}  // namespace hinoki
