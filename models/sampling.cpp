#include "models/sampling.h"

#include <cmath>

#include "kernels/sampling.h"

namespace hinoki {

void Sampling::check() const {
  require<Exit::usage>(temperature >= 0 && std::isfinite(temperature), "temperature ", temperature,
                       " is not a number from 0 on");
  require<Exit::usage>(top_k >= 0, "top-k ", top_k, " is negative");
  require<Exit::usage>(top_p > 0 && top_p <= 1, "top-p ", top_p, " is not in (0, 1]");
  require<Exit::usage>(repetition_penalty > 0 && std::isfinite(repetition_penalty), "repetition penalty ",
                       repetition_penalty, " is not a positive number");
}

int32_t Sampler::operator()(std::span<float> logits, std::span<const int32_t> context) {
  int32_t token = 0;
  kernels::token_sampling.run(Device::cpu, {},
                              {.logits = logits.data(),
                               .context = context.data(),
                               .tokens = &token,
                               .vocabulary = int64_t(logits.size()),
                               .position = int64_t(context.size()),
                               .temperature = options_.temperature,
                               .top_k = options_.top_k,
                               .top_p = options_.top_p,
                               .repetition_penalty = options_.repetition_penalty,
                               .seed = options_.seed});
  return token;
}

}  // namespace hinoki
