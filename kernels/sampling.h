// From logits to tokens, in the order transformers applies its processors: repetition penalty (Keskar et al. 2019),
// temperature, top-k, top-p (Holtzman et al. 2020). Defined to the bit, but for the rounding of exp, so that every
// device chooses the same token for the same logits.
#pragma once
#include <string>

#include "core/base/philox.h"
#include "kernels/kernel.h"

namespace hinoki::kernels {

// For each row, with l its logits:
//   l[id] = l[id] > 0 ? l[id] / penalty : l[id] * penalty for each id of the context, once, in f32
//   temperature 0: the token is the smallest id of the largest l; else
//   w[id] = floor(2^44 exp((l[id] - max l) / temperature)): integers, whose sums no order can change
//   candidates: all ids, by id; with top_k or top_p by falling l, equal ones by id: the first top_k, and of those the
//   first whose sum of w reaches ceil(top_p * total)
//   the token is the first candidate with  sum of w up to it > random * total,  where random = 64 bits of
//   philox({seed, site "sample", step: the row's sample}, the row's position) / 2^64
//   its log-probability is that of softmax(l / temperature) over all ids (of softmax(l) at temperature 0): what top_k
//   and top_p leave out counts
struct TokenSampling {
  float* logits;           // [rows, stride], of which `vocabulary` each; finite; changed by the penalty
  const int32_t* context;  // lines of `context_stride` ids, of which the row's position is how many there are; others
                           // than in [0, vocabulary) count as none; null without a penalty
  int32_t* tokens;  // [rows], `token_stride` apart; each may be the place behind its context
  int64_t rows = 1, vocabulary, stride = vocabulary;
  int64_t position, context_stride = position, token_stride = 1;
  double temperature = 1;
  int64_t top_k = 0;              // 0: off
  double top_p = 1;               // 1: off
  double repetition_penalty = 1;  // 1: off
  uint64_t seed = 0;
  // Each [rows]; null: the line of a row is its number, its position `position`, its sample its number.
  const int32_t *lines = nullptr, *positions = nullptr;
  const int64_t* samples = nullptr;
  int32_t* append_to = nullptr;        // the context, where the tokens are put behind it as well
  float* log_probabilities = nullptr;  // [rows]
};

constexpr double kSamplingUnit = 0x1p44;
constexpr int64_t kMostSampled = int64_t{1} << 19;  // ids, so that the sum of their weights fits into 64 bits
constexpr uint64_t kSamplingSite = hash_name("sample");

inline void check_sampling(const TokenSampling& k) {
  require(k.vocabulary >= 1 && k.vocabulary <= kMostSampled, "token_sampling: ", k.vocabulary,
          " logits are not between 1 and ", kMostSampled);
  require(k.rows >= 0 && k.position >= 0 && k.temperature >= 0 && k.top_k >= 0 && k.top_p > 0 && k.top_p <= 1 &&
              k.repetition_penalty > 0,
          "token_sampling: rows ", k.rows, ", position ", k.position, ", temperature ", k.temperature, ", top_k ",
          k.top_k, ", top_p ", k.top_p, ", repetition_penalty ", k.repetition_penalty);
  require(k.context || k.repetition_penalty == 1, "token_sampling: a repetition penalty needs a context");
}

inline std::string logit_not_finite(int64_t id) {
  return say("the logit of token ", id,
             " is not finite: the model's weights are damaged, or not those of its config.json");
}

inline Kernel<TokenSampling> token_sampling{"token_sampling"};

}  // namespace hinoki::kernels
