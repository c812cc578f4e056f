// CPU kernel of token sampling. A heap gives the likeliest ids one after the other: of a vocabulary, few are asked for.
#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/scratch.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

constexpr int kSeenSlot = 4, kOrderSlot = 5, kWeightSlot = 6;

void penalize(const TokenSampling& k, float* logits, const int32_t* context) {
  const auto penalty = float(k.repetition_penalty);
  bool* const seen = scratch<bool>(kSeenSlot, size_t(k.vocabulary));
  std::fill_n(seen, k.vocabulary, false);
  for (int64_t i = 0; i < k.position; ++i) {
    const int32_t id = context[i];
    if (id < 0 || id >= k.vocabulary || seen[id]) continue;
    seen[id] = true;
    logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  }
}

// Ids by falling logit, found when asked for.
class Likeliest {
 public:
  Likeliest(const float* logits, int64_t count)
      : logits_(logits), count_(count), heap_(scratch<int32_t>(kOrderSlot, size_t(count))) {
    std::iota(heap_, heap_ + count, 0);
    std::make_heap(heap_, heap_ + count, less());
  }

  int32_t operator[](int64_t i) {
    for (; found_ <= i; ++found_) std::pop_heap(heap_, heap_ + count_ - found_, less());
    return heap_[count_ - 1 - i];
  }

 private:
  struct Less {
    const float* logits;
    bool operator()(int32_t a, int32_t b) const { return logits[a] < logits[b] || (logits[a] == logits[b] && a > b); }
  };
  Less less() const { return {logits_}; }

  const float* logits_;
  int64_t count_, found_ = 0;
  int32_t* heap_;
};

uint64_t random_below(const TokenSampling& k, int64_t row, uint64_t total) {
  const Random4 bits = philox({.seed = k.seed, .site = kSamplingSite, .step = uint64_t(row)}, uint64_t(k.position));
  const uint64_t random = uint64_t{bits[0]} << 32 | bits[1];
  return uint64_t(static_cast<unsigned __int128>(random) * total >> 64);
}

int32_t draw(const TokenSampling& k, const float* logits, float top, int64_t row) {
  uint64_t* const weights = scratch<uint64_t>(kWeightSlot, size_t(k.vocabulary));
  uint64_t total = 0;
  for (int64_t i = 0; i < k.vocabulary; ++i) {
    weights[i] = uint64_t(std::exp((double(logits[i]) - double(top)) / k.temperature) * kSamplingUnit);
    total += weights[i];
  }
  if (k.top_k == 0 && k.top_p == 1) {
    const uint64_t target = random_below(k, row, total);
    int64_t id = 0;
    for (uint64_t sum = weights[0]; sum <= target; sum += weights[id]) ++id;
    return int32_t(id);
  }
  Likeliest likeliest(logits, k.vocabulary);
  if (k.top_k > 0 && k.top_k < k.vocabulary) {
    total = 0;
    for (int64_t i = 0; i < k.top_k; ++i) total += weights[likeliest[i]];
  }
  if (k.top_p < 1) {
    const uint64_t wanted = std::min(total, uint64_t(std::ceil(k.top_p * double(total))));
    total = weights[likeliest[0]];
    for (int64_t i = 1; total < wanted; ++i) total += weights[likeliest[i]];
  }
  const uint64_t target = random_below(k, row, total);
  int64_t i = 0;
  for (uint64_t sum = weights[likeliest[0]]; sum <= target; sum += weights[likeliest[i]]) ++i;
  return likeliest[i];
}

const bool ready = token_sampling.provide(kTarget, [](const TokenSampling& k, Stream) {
  check_sampling(k);
  for (int64_t row = 0; row < k.rows; ++row) {
    float* const logits = k.logits + row * k.stride;
    for (int64_t i = 0; i < k.vocabulary; ++i)
      if (!std::isfinite(logits[i])) fail<Exit::numerical>(logit_not_finite(i));
    if (k.repetition_penalty != 1) penalize(k, logits, k.context + row * k.context_stride);
    const float* const top = std::max_element(logits, logits + k.vocabulary);
    k.tokens[row * k.token_stride] = k.temperature == 0 ? int32_t(top - logits) : draw(k, logits, *top, row);
  }
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
