// CPU kernel of token sampling, a task for each row. Nothing is sorted but the likeliest ids, as many as top-k or top-p
// can keep: a histogram over how far a logit lies below the largest one finds out which those are.
#include "kernels/sampling.h"

#include <algorithm>
#include <cmath>

#include "core/base/parallel.h"
#include "core/base/scratch.h"
#include "kernels/cpu/vector_exp.h"

namespace hinoki::kernels::HINOKI_TARGET {
namespace {

enum Slot { kSeenSlot, kBinSlot, kWeightSlot, kCandidateSlot };
constexpr int64_t kBins = 4096, kBinsPerNat = 128;
constexpr int64_t kBlock = 256;  // ids whose weights are added up ahead of a search

struct Row {
  const TokenSampling& k;
  int64_t number;
  float* logits = k.logits + number * k.stride;
  int64_t line = k.lines ? k.lines[number] : number;
  int64_t position = k.positions ? k.positions[number] : k.position;
  float top = 0;
};

void check_finite(const float* logits, int64_t count) {
  constexpr int32_t kExponent = 0x7f800000;
  Bits<float> bad{};
  int64_t i = 0;
  for (; i + kWidth<float> <= count; i += kWidth<float>)
    bad |= (reinterpret_cast<Bits<float>>(load(logits + i)) & kExponent) == kExponent;
  bool any = false;
  for (int j = 0; j < kWidth<float>; ++j) any |= bad[j] != 0;
  for (int64_t j = any ? 0 : i; j < count; ++j)
    if (!std::isfinite(logits[j])) fail<Exit::numerical>(logit_not_finite(j));
}

float largest_of(const float* logits, int64_t count) {
  Vector<float> most = broadcast(logits[0]);
  int64_t i = 0;
  for (; i + kWidth<float> <= count; i += kWidth<float>) most = greater<float>(load(logits + i), most);
  float top = largest<float>(most);
  for (; i < count; ++i) top = std::max(top, logits[i]);
  return top;
}

void penalize(const Row& row) {
  const TokenSampling& k = row.k;
  const auto penalty = float(k.repetition_penalty);
  const int32_t* const context = k.context + row.line * k.context_stride;
  bool* const seen = scratch<bool>(kSeenSlot, size_t(k.vocabulary));
  std::fill_n(seen, k.vocabulary, false);
  for (int64_t i = 0; i < row.position; ++i) {
    const int32_t id = context[i];
    if (id < 0 || id >= k.vocabulary || seen[id]) continue;
    seen[id] = true;
    row.logits[id] = row.logits[id] > 0 ? row.logits[id] / penalty : row.logits[id] * penalty;
  }
}

// The weights of all ids, and their sums by blocks and in all.
struct Weights {
  uint64_t *of, *of_block, total = 0;

  Weights(const float* logits, int64_t count, float top, double temperature)
      : of(scratch<uint64_t>(kWeightSlot, size_t(round_up(count) + count / kBlock + 1))), of_block(of + round_up(count)) {
    constexpr int lanes = kWidth<double>;
    typedef float Narrow __attribute__((vector_size(kVectorBytes / 2), aligned(4), may_alias));
    const auto weigh = [&](const float* l) {
      const auto x = __builtin_convertvector(*reinterpret_cast<const Narrow*>(l), Vector<double>);
      return whole_part(exp2<double>((x - double(top)) / temperature * kLog2E) * kSamplingUnit);
    };
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t end = std::min(count, begin + kBlock);
      VectorOf<double>::Unsigned sums{};
      int64_t i = begin;
      for (; i + lanes <= end; i += lanes) {
        const auto w = weigh(logits + i);
        std::memcpy(of + i, &w, sizeof w);
        sums += w;
      }
      uint64_t sum = 0;
      for (int j = 0; j < lanes; ++j) sum += sums[j];
      for (; i < end; ++i) {
        float padded[lanes] = {logits[i]};
        sum += of[i] = weigh(padded)[0];
      }
      of_block[begin / kBlock] = sum;
      total += sum;
    }
  }

  // The first id with which the running sum by id passes `target`.
  int64_t find(uint64_t target) const {
    int64_t block = 0;
    uint64_t sum = 0;
    while (sum + of_block[block] <= target) sum += of_block[block++];
    int64_t id = block * kBlock;
    for (sum += of[id]; sum <= target; sum += of[id]) ++id;
    return id;
  }

 private:
  static constexpr double kLog2E = 1.4426950408889634;
  static int64_t round_up(int64_t n) { return (n + 7) / 8 * 8; }
  // floor(x) for x in [0, 2^51)
  static VectorOf<double>::Unsigned whole_part(Vector<double> x) {
    using U = VectorOf<double>::Unsigned;
    const Vector<double> magic = broadcast(0x1p52);
    Vector<double> whole = x + magic - magic;
    whole = whole > x ? whole - 1.0 : whole;
    return reinterpret_cast<U>(whole + magic) - reinterpret_cast<U>(magic);
  }
};

// The likeliest ids in order, as many as `enough`(how many, sum of their weights) asks for.
class Likeliest {
 public:
  template <class F>
  Likeliest(const Row& row, const Weights& weights, F enough) {
    const TokenSampling& k = row.k;
    struct Bin {
      int64_t count;
      uint64_t weight;
    };
    Bin* const bins = scratch<Bin>(kBinSlot, kBins);
    std::fill_n(bins, kBins, Bin{});
    const auto scale = float(std::min(double(kBinsPerNat) / k.temperature, 1e30));
    const auto bin_of = [&](float logit) {  // falls with the logit, and equal logits share one
      return int64_t(std::min((row.top - logit) * scale, float(kBins - 1)));
    };
    for (int64_t id = 0; id < k.vocabulary; ++id) {
      Bin& bin = bins[bin_of(row.logits[id])];
      ++bin.count;
      bin.weight += weights.of[id];
    }
    int64_t last = 0, count = bins[0].count;
    for (uint64_t sum = bins[0].weight; last + 1 < kBins && !enough(count, sum);) {
      count += bins[++last].count;
      sum += bins[last].weight;
    }
    ids_ = scratch<int32_t>(kCandidateSlot, size_t(count));
    int32_t* end = ids_;
    for (int64_t id = 0; id < k.vocabulary; ++id)
      if (bin_of(row.logits[id]) <= last) *end++ = int32_t(id);
    std::sort(ids_, end, [l = row.logits](int32_t a, int32_t b) { return l[a] > l[b] || (l[a] == l[b] && a < b); });
  }
  int32_t operator[](int64_t i) const { return ids_[i]; }

 private:
  int32_t* ids_;
};

uint64_t random_below(const Row& row, uint64_t total) {
  const TokenSampling& k = row.k;
  const auto sample = uint64_t(k.samples ? k.samples[row.number] : row.number);
  const Random4 bits = philox({.seed = k.seed, .site = kSamplingSite, .step = sample}, uint64_t(row.position));
  const uint64_t random = uint64_t{bits[0]} << 32 | bits[1];
  return uint64_t(static_cast<unsigned __int128>(random) * total >> 64);
}

int32_t draw(const Row& row, const Weights& weights) {
  const TokenSampling& k = row.k;
  const bool by_count = k.top_k > 0 && k.top_k < k.vocabulary;
  if (k.top_k == 0 && k.top_p == 1) return int32_t(weights.find(random_below(row, weights.total)));
  const auto share = [&](uint64_t total) {
    return k.top_p == 1 ? total : std::min(total, uint64_t(std::ceil(k.top_p * double(total))));
  };
  const Likeliest likeliest(row, weights, [&](int64_t count, uint64_t sum) {
    return by_count ? count >= k.top_k : sum >= share(weights.total);
  });
  uint64_t total = weights.total;
  if (by_count) {
    total = 0;
    for (int64_t i = 0; i < k.top_k; ++i) total += weights.of[likeliest[i]];
  }
  if (k.top_p < 1) {
    const uint64_t wanted = share(total);
    total = weights.of[likeliest[0]];
    for (int64_t i = 1; total < wanted; ++i) total += weights.of[likeliest[i]];
  }
  const uint64_t target = random_below(row, total);
  int64_t i = 0;
  for (uint64_t sum = weights.of[likeliest[0]]; sum <= target; sum += weights.of[likeliest[i]]) ++i;
  return likeliest[i];
}

void sample_row(Row row) {
  const TokenSampling& k = row.k;
  check_finite(row.logits, k.vocabulary);
  if (k.repetition_penalty != 1) penalize(row);
  row.top = largest_of(row.logits, k.vocabulary);
  const bool greedy = k.temperature == 0;
  const double temperature = greedy ? 1 : k.temperature;
  auto token = int32_t(std::find(row.logits, row.logits + k.vocabulary, row.top) - row.logits);
  if (!greedy || k.log_probabilities) {
    const Weights weights(row.logits, k.vocabulary, row.top, temperature);
    if (!greedy) token = draw(row, weights);
    if (k.log_probabilities)
      k.log_probabilities[row.number] = float((double(row.logits[token]) - double(row.top)) / temperature -
                                              std::log(double(weights.total) / kSamplingUnit));
  }
  k.tokens[row.number * k.token_stride] = token;
  if (k.append_to) k.append_to[row.line * k.context_stride + row.position] = token;
}

const bool ready = token_sampling.provide(kTarget, [](const TokenSampling& k, Stream) {
  check_sampling(k);
  parallel(k.rows, [&](int64_t row) { sample_row({k, row}); });
});

}  // namespace
}  // namespace hinoki::kernels::HINOKI_TARGET
