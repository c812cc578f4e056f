#include "models/sampling.h"

#include <algorithm>
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

void Sampler::operator()(const SampledRows& r) const {
  require(r.logits.rank() == 2 && r.logits.contiguous() && r.logits.dtype() == DType::f32, "sampling: logits ",
          r.logits.dtype(), r.logits.shape(), " are not contiguous f32 [rows, ids]");
  const int64_t rows = r.logits.size(0), ids = r.logits.size(1);
  const auto column = [&](const char* name, const Tensor& x, DType dtype) -> void* {
    require(x.defined() && x.dtype() == dtype && x.shape() == Shape{rows} && x.contiguous() &&
                x.device() == r.logits.device(),
            "sampling: ", name, " are not ", dtype, "[", rows, "] beside the logits");
    return x.data();
  };
  kernels::TokenSampling k{.logits = static_cast<float*>(r.logits.data()),
                           .context = nullptr,
                           .tokens = static_cast<int32_t*>(column("tokens", r.tokens, DType::i32)),
                           .rows = rows,
                           .vocabulary = r.usable > 0 ? std::min(r.usable, ids) : ids,
                           .stride = ids,
                           .position = 0,
                           .temperature = options_.temperature,
                           .top_k = options_.top_k,
                           .top_p = options_.top_p,
                           .repetition_penalty = options_.repetition_penalty,
                           .seed = options_.seed,
                           .positions = static_cast<int32_t*>(column("positions", r.positions, DType::i32)),
                           .samples = static_cast<int64_t*>(column("samples", r.samples, DType::i64))};
  if (options_.needs_context()) {
    require(r.context.defined() && r.context.rank() == 2 && r.context.contiguous() && r.context.dtype() == DType::i32,
            "sampling: a repetition penalty needs the tokens before, i32 [lines, capacity]");
    k.lines = static_cast<int32_t*>(column("lines", r.lines, DType::i32));
    k.append_to = static_cast<int32_t*>(r.context.data());
    k.context = k.append_to;
    k.context_stride = r.context.size(1);
  }
  if (r.log_probabilities.defined())
    k.log_probabilities = static_cast<float*>(column("log-probabilities", r.log_probabilities, DType::f32));
  kernels::token_sampling.run(r.logits.device(), r.logits.stream(), k);
}

}  // namespace hinoki
