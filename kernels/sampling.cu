// CUDA kernel of token sampling: a block for each row. Nothing is sorted: sums of integer weights do not depend on
// their order, so the places that matter (the last of top-k, the last of top-p, the token) are each found by looking at
// the logits four bits at a time, as a radix sort would, in eight passes over what is in the L2 cache. Some 40 us a
// search for 32,000 logits are expected, against milliseconds for the rest of a token.
#include <climits>

#include "kernels/cuda/fault.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/scratch.h"
#include "kernels/sampling.h"

namespace hinoki::kernels {
namespace {

using Weight = unsigned long long;  // what atomics and shuffles are called with

constexpr int kThreads = 512, kDigits = 16;
static_assert(kThreads / simt::kWarp == kDigits);  // a warp adds up each digit
constexpr size_t kBinBytes = size_t{kDigits} * kThreads * sizeof(Weight);

const FaultKind kBadLogit{Exit::numerical, [](const Fault& f) { return logit_not_finite(f.place); }};

// Ordered as the logits are; -0 and 0 are equal.
__device__ uint32_t key_of(float logit) {
  const uint32_t bits = logit == 0 ? 0 : __float_as_uint(logit);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ float logit_of(uint32_t key) { return __uint_as_float((key >> 31) != 0 ? key & 0x7fffffffu : ~key); }

struct Row {
  float* logits;
  const int32_t* context;
  Weight* weights;
  int vocabulary;
  int64_t position;
  uint64_t sample;
  float top;
  double temperature;  // of the weights

  __device__ Weight weight_of(float logit) const {
    return Weight(exp((double(logit) - double(top)) / temperature) * kSamplingUnit);
  }
};

__device__ void penalize(const Row& row, int64_t position, float penalty, uint32_t* seen) {
  for (int i = int(threadIdx.x); i < (row.vocabulary + 31) / 32; i += kThreads) seen[i] = 0;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < position; i += kThreads) {
    const int32_t id = row.context[i];
    if (id < 0 || id >= row.vocabulary) continue;
    const uint32_t bit = 1u << (id % 32);
    if ((atomicOr(seen + id / 32, bit) & bit) != 0) continue;  // another thread has, or had, this id
    const float logit = row.logits[id];
    row.logits[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  __syncthreads();
}

// Where a running sum over ids by falling logit passes `target`: the logit's key, and the sum over all larger ones.
struct Place {
  uint32_t key = 0;
  Weight before = 0;
};

// `measure`(id) is what is summed. Each thread counts in bins of its own, [digit][thread]. All have read the bins when
// the totals are there, and the totals when all have counted again: two barriers a round order both.
template <class F>
__device__ Place find_by_logit(const Row& row, Weight target, Weight* bins, F measure) {
  SHARED(totals, Weight[kDigits]);
  const int me = int(threadIdx.x);
  Place place;
  for (int shift = 28; shift >= 0; shift -= 4) {
    for (int d = 0; d < kDigits; ++d) bins[d * kThreads + me] = 0;
    for (int id = me; id < row.vocabulary; id += kThreads) {
      const uint32_t key = key_of(row.logits[id]);
      if (shift < 28 && key >> (shift + 4) != place.key) continue;
      bins[int(key >> shift & 15u) * kThreads + me] += measure(id);
    }
    __syncthreads();
    Weight sum = 0;
    for (int i = lane_of_warp(); i < kThreads; i += simt::kWarp) sum += bins[warp_of_block() * kThreads + i];
    sum = warp_sum(sum);
    if (lane_of_warp() == 0) totals[warp_of_block()] = sum;
    __syncthreads();
    int digit = kDigits - 1;
    for (; digit > 0 && place.before + totals[digit] <= target; --digit) place.before += totals[digit];
    place.key = place.key << 4 | uint32_t(digit);
  }
  return place;
}

// Calls found(id) in one thread, for the id with which a running sum of measure(id), by id, passes `target`.
template <class F, class G>
__device__ void find_by_id(int vocabulary, Weight target, F measure, G found) {
  const int share = (vocabulary + kThreads - 1) / kThreads;
  const int begin = min(int(threadIdx.x) * share, vocabulary), end = min(begin + share, vocabulary);
  Weight mine = 0, total = 0;
  for (int id = begin; id < end; ++id) mine += measure(id);
  Weight sum = block_sum_before(mine, total);
  if (target < sum || target >= sum + mine) return;
  int id = begin;
  for (sum += measure(id); sum <= target; sum += measure(id)) ++id;
  found(id);
}

// The sum of the weights of the first `top_k` ids by falling logit.
__device__ Weight total_of_top_k(const Row& row, Weight top_k, Weight* bins) {
  const Place last = find_by_logit(row, top_k - 1, bins, [](int) { return Weight{1}; });
  Weight above = 0;
  for (int id = int(threadIdx.x); id < row.vocabulary; id += kThreads)
    if (key_of(row.logits[id]) > last.key) above += row.weights[id];
  return block_sum(above) + (top_k - last.before) * row.weight_of(logit_of(last.key));
}

// The number of the element, among those with the key of `place`, with which the running sum of weights passes
// `target`.
__device__ Weight number_at(const Row& row, const Place& place, Weight target) {
  return (target - place.before) / row.weight_of(logit_of(place.key));
}

// The sum of all weights, which are left in row.weights.
__device__ Weight weigh(const Row& row) {
  Weight total = 0;
  for (int id = int(threadIdx.x); id < row.vocabulary; id += kThreads) {
    const Weight weight = row.weight_of(row.logits[id]);
    row.weights[id] = weight;
    total += weight;
  }
  return block_sum(total);
}

template <class G>
__device__ void draw(const Row& row, const TokenSampling& k, Weight total, Weight* bins, G found) {
  const auto weight = [&](int id) { return row.weights[id]; };
  if (k.top_k > 0 && k.top_k < row.vocabulary) total = total_of_top_k(row, Weight(k.top_k), bins);
  if (k.top_p < 1) {
    const Weight wanted = min(total, Weight(ceil(k.top_p * double(total))));
    const Place last = find_by_logit(row, wanted - 1, bins, weight);
    total = last.before + (number_at(row, last, wanted - 1) + 1) * row.weight_of(logit_of(last.key));
  }
  const Random4 bits = philox({k.seed, kSamplingSite, row.sample}, uint64_t(row.position));
  const uint64_t random = uint64_t{bits[0]} << 32 | bits[1];
  const Weight target = Weight(static_cast<unsigned __int128>(random) * total >> 64);
  if (k.top_k == 0 && k.top_p == 1) return find_by_id(row.vocabulary, target, weight, found);
  const Place place = find_by_logit(row, target, bins, weight);
  const auto equal = [&](int id) { return Weight(key_of(row.logits[id]) == place.key); };
  find_by_id(row.vocabulary, number_at(row, place, target), equal, found);
}

__global__ void __launch_bounds__(kThreads) sample_rows(TokenSampling k, Weight* weights, FaultWord fault) {
  DYNAMIC_SHARED(memory, uint32_t);  // what has been seen, later bins
  const int64_t r = blockIdx.x;
  const int64_t line = k.lines ? k.lines[r] : r;
  Row row{k.logits + r * k.stride,
          k.context ? k.context + line * k.context_stride : nullptr,
          weights + r * k.vocabulary,
          int(k.vocabulary),
          k.positions ? k.positions[r] : k.position,
          uint64_t(k.samples ? k.samples[r] : r),
          0,
          k.temperature > 0 ? k.temperature : 1};
  Weight total = 0;
  // In one thread.
  const auto found = [&](int id) {
    k.tokens[r * k.token_stride] = id;
    if (k.append_to) k.append_to[line * k.context_stride + row.position] = id;
    if (k.log_probabilities)
      k.log_probabilities[r] = float((double(row.logits[id]) - double(row.top)) / row.temperature -
                                     log(double(total) / kSamplingUnit));
  };

  int bad = INT_MAX;
  for (int id = int(threadIdx.x); id < row.vocabulary; id += kThreads)
    if ((__float_as_uint(row.logits[id]) & 0x7f800000u) == 0x7f800000u) bad = min(bad, id);
  bad = block_min(bad, INT_MAX);
  if (bad != INT_MAX) {
    if (threadIdx.x == 0) {
      report_fault(fault, bad, int32_t(r));
      k.tokens[r * k.token_stride] = 0;
    }
    return;
  }
  if (k.repetition_penalty != 1) penalize(row, row.position, float(k.repetition_penalty), memory);

  float top = row.logits[0];
  for (int id = int(threadIdx.x); id < row.vocabulary; id += kThreads) top = fmaxf(top, row.logits[id]);
  row.top = block_max(top, top);
  if (k.temperature > 0 || k.log_probabilities) total = weigh(row);
  if (k.temperature > 0) return draw(row, k, total, reinterpret_cast<Weight*>(memory), found);
  int first = INT_MAX;
  for (int id = int(threadIdx.x); id < row.vocabulary; id += kThreads)
    if (row.logits[id] == row.top) first = min(first, id);
  first = block_min(first, INT_MAX);
  if (threadIdx.x == 0) found(first);
}

const bool ready = token_sampling.provide(Device::cuda, [](const TokenSampling& k, Stream stream) {
  check_sampling(k);
  require(k.rows <= INT_MAX, "token_sampling: ", k.rows, " rows are too many for its CUDA kernel");
  const size_t seen_bytes = size_t(k.vocabulary + 31) / 32 * sizeof(uint32_t);
  auto* const weights = cuda_scratch<Weight>(stream, size_t(std::max<int64_t>(1, k.rows) * k.vocabulary));
  const FaultWord fault = fault_word(stream, kBadLogit, k.vocabulary);
  simt::launch(sample_rows, unsigned(k.rows), kThreads, std::max(kBinBytes, (seen_bytes + 7) / 8 * 8), stream, k,
               weights, fault);
});

}  // namespace
}  // namespace hinoki::kernels
