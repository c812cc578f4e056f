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

void Sampler::operator()(const Tensor& logits, const Tensor& ids, int64_t position) const {
  require(logits.rank() == 1 && logits.contiguous() && logits.dtype() == DType::f32, "sampling: logits ",
          logits.dtype(), logits.shape(), " are not a contiguous f32 vector");
  require(ids.rank() == 1 && ids.contiguous() && ids.dtype() == DType::i32 && ids.device() == logits.device() &&
              0 <= position && position < ids.numel(),
          "sampling: ids ", ids.dtype(), ids.shape(), " on ", ids.device(), ", position ", position, ", logits on ",
          logits.device());
  auto* const all = static_cast<int32_t*>(ids.data());
  kernels::token_sampling.run(logits.device(), logits.stream(),
                              {.logits = static_cast<float*>(logits.data()),
                               .context = all,
                               .tokens = all + position,
                               .vocabulary = logits.numel(),
                               .position = position,
                               .temperature = options_.temperature,
                               .top_k = options_.top_k,
                               .top_p = options_.top_p,
                               .repetition_penalty = options_.repetition_penalty,
                               .seed = options_.seed});
}

}  // namespace hinoki
