#include "kernels/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::sampling_test {
namespace {

using namespace hinoki::test;

struct Case {
  int64_t rows, vocabulary, position = 5;
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1, penalty = 1;
  uint64_t seed = 1;
  Values logits = uniform_values(rows * vocabulary, -8, 8, 1);
  std::vector<int32_t> context = {};
};

// Tokens, then the logits as they are left.
Values run(const Case& c) {
  Operand<float> logits(c.logits);
  Operand<int32_t> context(c.context), tokens(c.rows);
  token_sampling.run(here(), {},
                     {.logits = logits.data(),
                      .context = context.data(),
                      .tokens = tokens.data(),
                      .rows = c.rows,
                      .vocabulary = c.vocabulary,
                      .position = c.position,
                      .temperature = c.temperature,
                      .top_k = c.top_k,
                      .top_p = c.top_p,
                      .repetition_penalty = c.penalty,
                      .seed = c.seed});
  return tokens.values() + logits.values();
}

// The contract, by sorting.
Values reference(const Case& c) {
  Values tokens, logits = c.logits;
  for (int64_t r = 0; r < c.rows; ++r) {
    double* const l = logits.data() + r * c.vocabulary;
    std::vector<bool> seen(size_t(c.vocabulary), false);
    for (int64_t i = 0; c.penalty != 1 && i < c.position; ++i) {
      const int32_t id = c.context[r * c.position + i];
      if (id < 0 || id >= c.vocabulary || seen[id]) continue;
      seen[id] = true;
      l[id] = l[id] > 0 ? float(l[id]) / float(c.penalty) : float(l[id]) * float(c.penalty);
    }
    std::vector<int64_t> order(static_cast<size_t>(c.vocabulary));
    std::iota(order.begin(), order.end(), 0);
    const auto by_logit = [&](int64_t a, int64_t b) { return l[a] > l[b]; };
    const double top = *std::max_element(l, l + c.vocabulary);
    if (c.top_k > 0 || c.top_p < 1 || c.temperature == 0) std::stable_sort(order.begin(), order.end(), by_logit);
    if (c.top_k > 0) order.resize(size_t(std::min(c.top_k, c.vocabulary)));
    if (c.temperature == 0) {
      tokens.push_back(double(order[0]));
      continue;
    }
    const auto weight = [&](int64_t id) { return uint64_t(std::exp((l[id] - top) / c.temperature) * 0x1p44); };
    uint64_t total = 0;
    for (const int64_t id : order) total += weight(id);
    if (c.top_p < 1) {
      uint64_t kept = 0;
      size_t n = 0;
      while (n < order.size() && double(kept) < c.top_p * double(total)) kept += weight(order[n++]);
      order.resize(n);
      total = kept;
    }
    const Random4 bits = philox({.seed = c.seed, .site = hash_name("sample"), .step = uint64_t(r)}, c.position);
    const auto target = uint64_t(((static_cast<unsigned __int128>(bits[0]) << 32 | bits[1]) * total) >> 64);
    size_t i = 0;
    for (uint64_t sum = weight(order[0]); sum <= target; sum += weight(order[i])) ++i;
    tokens.push_back(double(order[i]));
  }
  return tokens + logits;
}

std::vector<int32_t> some_context(const Case& c) {
  std::vector<int32_t> ids;
  for (const double v : uniform_values(c.rows * c.position, -2, double(c.vocabulary) + 2, 3)) ids.push_back(int32_t(v));
  return ids;
}

// Tokens must be the same everywhere: exp may differ by a rounding, which moves a weight by 1 of 2^44.
TEST(SamplingKernel, ChoosesTheSameTokenEverywhere) {
  for (const int64_t vocabulary : {1, 2, 33, 1000, 4099})
    for (const auto& [temperature, top_k, top_p] : {std::tuple{1.0, 0, 1.0},
                                                    {0.0, 0, 1.0},
                                                    {0.7, 40, 1.0},
                                                    {1.5, 0, 0.9},
                                                    {1.0, 50, 0.95},
                                                    {3.0, 5000, 0.999},
                                                    {0.01, 1, 1e-9}})
      for (const uint64_t seed : {1, 2}) {
        Case c{.rows = vocabulary < 1000 ? 3 : 1,
               .vocabulary = vocabulary,
               .temperature = temperature,
               .top_k = top_k,
               .top_p = top_p};
        c.seed = seed;
        c.penalty = seed == 2 ? 1 : 1.3;
        c.context = some_context(c);
        SCOPED_TRACE(say(vocabulary, " logits, temperature ", temperature, ", top_k ", top_k, ", top_p ", top_p));
        expect_everywhere([&] { return run(c); }, reference(c), 0);
      }
}

// Half of all logits are equal: what is kept of them is the smallest ids.
TEST(SamplingKernel, OrdersEqualLogitsById) {
  for (const auto& [top_k, top_p] : {std::pair{0, 1.0}, {7, 1.0}, {300, 1.0}, {0, 0.5}, {400, 0.99}})
    for (uint64_t seed = 0; seed < 4; ++seed) {
      Case c{.rows = 1, .vocabulary = 600, .top_k = top_k, .top_p = top_p};
      c.seed = seed;
      for (int64_t i = 0; i < 600; ++i) c.logits[i] = i % 2 == 0 ? 1 : i % 3 == 0 ? -0.0 : 0.0;
      expect_everywhere([&] { return run(c); }, reference(c), 0);
    }
}

TEST(SamplingKernel, LeavesTheTokenBehindItsContext) {
  const auto run = [] {
    Operand<float> logits(Values{1, 9, 2, 0, 0, 0, 4, 5, 3, 0, 0, 0});  // rows of 6, of which 3 count
    Operand<int32_t> context(Values{0, 1, -1, 2, 2, -1});
    token_sampling.run(here(), {},
                       {.logits = logits.data(),
                        .context = context.data(),
                        .tokens = context.data() + 2,
                        .rows = 2,
                        .vocabulary = 3,
                        .stride = 6,
                        .position = 2,
                        .context_stride = 3,
                        .token_stride = 3,
                        .temperature = 0,
                        .repetition_penalty = 10});
    return context.values() + logits.values();
  };
  expect_everywhere(run, {0, 1, 2, 2, 2, 1, 1.f / 10, 9.f / 10, 2, 0, 0, 0, 4, 5, 3.f / 10, 0, 0, 0}, 1e-7);
}

// Rows of a batch that belong to samples at different positions, in lines of a context of any order: each token, and its
// log-probability, is that of the sample alone.
TEST(SamplingKernel, TakesRowsOfAnySamples) {
  constexpr int64_t kRows = 3, kIds = 70, kCapacity = 6;
  const Values logits = uniform_values(kRows * kIds, -3, 3, 5);
  const Values lines{3, 0, 2}, positions{2, 5, 0}, samples{900000000000, 7, 0};
  Values context = uniform_values(4 * kCapacity, 0, double(kIds), 6);
  for (double& id : context) id = std::floor(id);
  for (const auto& [temperature, top_k] : {std::pair{0.0, 0}, {1.0, 0}, {0.7, 9}}) {
    const auto draw = [&](std::vector<size_t> rows) {
      Values l, line, position, sample;
      for (const size_t r : rows) {
        l.insert(l.end(), logits.begin() + int64_t(r) * kIds, logits.begin() + int64_t(r + 1) * kIds);
        line.push_back(lines[r]), position.push_back(positions[r]), sample.push_back(samples[r]);
      }
      Operand<float> all(l), logs(int64_t(rows.size()));
      Operand<int32_t> ids(context), of(line), at(position), tokens(int64_t(rows.size()));
      Operand<int64_t> which(sample);
      token_sampling.run(here(), {},
                         {.logits = all.data(),
                          .context = ids.data(),
                          .tokens = tokens.data(),
                          .rows = int64_t(rows.size()),
                          .vocabulary = kIds,
                          .position = 0,
                          .context_stride = kCapacity,
                          .temperature = temperature,
                          .top_k = top_k,
                          .repetition_penalty = 1.5,
                          .seed = 3,
                          .lines = of.data(),
                          .positions = at.data(),
                          .samples = which.data(),
                          .append_to = ids.data(),
                          .log_probabilities = logs.data()});
      const Values drawn = tokens.values(), left = ids.values(), after = all.values(), given = logs.values();
      for (size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(left[size_t(line[i]) * kCapacity + size_t(position[i])], drawn[i]) << "behind its context";
        const double scale = temperature > 0 ? temperature : 1;
        double sum = 0;
        for (int64_t id = 0; id < kIds; ++id) sum += std::exp(after[i * kIds + size_t(id)] / scale);
        EXPECT_NEAR(given[i], after[i * kIds + size_t(drawn[i])] / scale - std::log(sum), 1e-5);
      }
      return drawn;
    };
    Values alone;
    for (size_t r = 0; r < kRows; ++r) alone.push_back(draw({r})[0]);
    expect_everywhere([&] { return draw({0, 1, 2}); }, alone, 0);
    expect_everywhere([&] { return draw({2, 0}); }, {alone[2], alone[0]}, 0);
  }
}

TEST(SamplingKernel, RefusesWhatIsNotFinite) {
  Case c{.rows = 2, .vocabulary = 100};
  c.logits[150] = NAN;
  c.logits[199] = INFINITY;
  const auto refused = [&] {
    EXPECT_ERROR(run(c), Exit::numerical, "the logit of token 50 is not finite");
    return Values{};
  };
  refused();
  expect_on_cuda(refused, {}, 0);
}

TEST(SamplingKernel, RefusesSizesItCannotSum) {
  float logit = 0;
  int32_t token = 0;
  for (const int64_t vocabulary : {int64_t{0}, kMostSampled + 1})
    EXPECT_ERROR(token_sampling.run(
                     Device::cpu, {},
                     {.logits = &logit, .context = &token, .tokens = &token, .vocabulary = vocabulary, .position = 0}),
                 Exit::failure, "logits are not between 1 and 524288");
}

}  // namespace
}  // namespace hinoki::kernels::sampling_test
