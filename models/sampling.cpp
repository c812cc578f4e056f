#include "models/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/check.h"

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
  const auto bad = std::find_if_not(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); });
  require<Exit::numerical>(bad == logits.end(), "the logit of token ", bad - logits.begin(), " is not finite: the model's "
                           "weights are damaged, or not those of its config.json");
  if (options_.repetition_penalty != 1) {
    seen_.assign(logits.size(), false);
    for (const int32_t id : context) {
      if (id < 0 || size_t(id) >= logits.size() || seen_[id]) continue;
      seen_[id] = true;
      const float penalty = float(options_.repetition_penalty);
      logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    }
  }
  if (options_.temperature == 0) return int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin());

  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) { return logits[a] > logits[b] || (logits[a] == logits[b] && a < b); };
  size_t candidates = order_.size();
  if (options_.top_k > 0) candidates = std::min(candidates, size_t(options_.top_k));
  if (options_.top_k > 0 || options_.top_p < 1)
    std::partial_sort(order_.begin(), order_.begin() + int64_t(candidates), order_.end(), likelier);

  const float top = *std::max_element(logits.begin(), logits.end());
  const auto weight = [&](size_t i) { return std::exp((double(logits[order_[i]]) - top) / options_.temperature); };
  double total = 0;
  for (size_t i = 0; i < candidates; ++i) total += weight(i);
  if (options_.top_p < 1) {  // the smallest set of likeliest tokens that holds top_p of the probability
    double kept = 0;
    size_t n = 0;
    while (n < candidates && kept < options_.top_p * total) kept += weight(n++);
    candidates = std::max<size_t>(1, n);
    total = kept;
  }
  const Random4 bits = philox({.seed = options_.seed, .site = hash_name("sample")}, context.size());
  double left = (double(bits[0]) + double(bits[1]) * 0x1p-32) * 0x1p-32 * total;
  for (size_t i = 0; i + 1 < candidates; ++i)
    if ((left -= weight(i)) < 0) return order_[i];
  return order_[candidates - 1];
}

}  // namespace hinoki
