#include "kernels/attention.h"

#include "core/base/parallel.h"
#include "tests/support/attention_problem.h"
#include "tests/support/each_target.h"

namespace hinoki::kernels_attention_test {
namespace {

using test::AttentionProblem, test::AttentionResults, test::Layout;
using Case = test::AttentionCase;

double norm(const std::vector<double>& v) {
  double sum = 0;
  for (const double x : v) sum += x * x;
  return std::sqrt(sum);
}

// Scores are sums of dim products of size about |q| |k| <= 4 dim here, scaled: their error is a few sqrt(dim) epsilon,
// and so is the relative error of a probability. Sums over time then add time epsilon of their magnitude. The bound
// below is on the norm of the whole error against the norm of the whole result, with a factor for the products behind
// each term.
template <class T>
double tolerance(const Case& c) {
  return std::numeric_limits<T>::epsilon() * (8 * std::sqrt(double(c.dim)) + 2 * std::sqrt(double(c.time)) + 16);
}

template <class T>
void check_case(const Case& c) {
  SCOPED_TRACE(say(c, ", ", dtype_of<T>()));
  const AttentionProblem<T> problem(c);
  const AttentionResults got = problem.run();
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h) {
      const ReferenceHead want = problem.reference(b, h);
      std::vector<double> out, lse, grads[3];
      for (int64_t t = 0; t < c.time; ++t) {
        lse.push_back(got.lse[(b * c.heads + h) * c.time + t] - want.lse[t]);
        for (int64_t d = 0; d < c.dim; ++d) {
          out.push_back(got.out[(b * c.time + t) * problem.width + h * c.dim + d] - want.out[t * c.dim + d]);
          for (int which = 0; which < 3; ++which) {
            const int64_t at =
                (b * c.time + t) * 3 * problem.width + problem.offset(which) + h * problem.head_step() + d;
            const auto& dw = which == 0 ? want.dq : which == 1 ? want.dk : want.dv;
            grads[which].push_back(got.dqkv[at] - dw[t * c.dim + d]);
          }
        }
      }
      const double limit = tolerance<T>(c);
      EXPECT_LE(norm(lse), limit * (norm(want.lse) + 1)) << "lse";
      EXPECT_LE(norm(out), limit * norm(want.out)) << "out";
      // With one key per query the true dq and dk are zero; what is left is the rounding of dp - delta.
      const double scale_of_ds = norm(want.dv) * std::sqrt(double(c.dim));
      EXPECT_LE(norm(grads[0]), limit * (norm(want.dq) + scale_of_ds)) << "dq";
      EXPECT_LE(norm(grads[1]), limit * (norm(want.dk) + scale_of_ds)) << "dk";
      EXPECT_LE(norm(grads[2]), limit * norm(want.dv)) << "dv";
    }
}

class AttentionOn : public EachTarget {};
INSTANTIATE_TEST_SUITE_P(All, AttentionOn, testing::ValuesIn(targets_here()), target_name);

TEST_P(AttentionOn, IsItsFormulas) {
  const Case cases[] = {{1, 1, 16, 1},
                        {1, 2, 16, 2, Layout::blocks},
                        {2, 1, 17, 13},
                        {1, 3, 24, 31, Layout::blocks, 3},
                        {2, 2, 32, 32},
                        {1, 2, 33, 33, Layout::blocks},
                        {1, 1, 64, 127},
                        {1, 1, 64, 128, Layout::blocks, 5},
                        {1, 2, 64, 129, Layout::per_head, 2},
                        {2, 1, 80, 257, Layout::per_head, 7, 0, 0.05},
                        {1, 1, 256, 300},
                        {1, 1, 8, 400, Layout::blocks, 400},
                        {2, 2, 20, 140, Layout::per_head, 1, 0.1},
                        {1, 2, 16, 131, Layout::blocks, 3, 0.5}};
  for (Case c : cases)
    for (const bool causal : {true, false}) {
      c.causal = causal;
      check_case<float>(c);
      check_case<double>(c);
    }
}

TEST_P(AttentionOn, BitsDoNotDependOnThreads) {
  for (const Case& c : {Case{1, 2, 40, 600},
                        {2, 3, 16, 150, Layout::blocks, 3, 0.1},
                        {1, 2, 40, 600, Layout::blocks, 2, 0, 0, false}}) {
    const AttentionProblem<float> problem(c);
    const AttentionResults first = problem.run();
    for (const int threads : {1, 2, 3, 7}) {
      ThreadPool pool(threads);
      const UsePool use(pool);
      const AttentionResults again = problem.run();
      EXPECT_TRUE(same_bits(first.out, again.out)) << threads << " threads";
      EXPECT_TRUE(same_bits(first.lse, again.lse)) << threads << " threads";
      EXPECT_TRUE(same_bits(first.dqkv, again.dqkv)) << threads << " threads";
    }
  }
}

// One token at a time and in pieces, with a cache: the bits of the full pass.
TEST_P(AttentionOn, BitsDoNotDependOnRows) {
  for (const Case& c : {Case{2, 2, 24, 300}, {1, 1, 64, 290, Layout::blocks}}) {
    const AttentionProblem<float> problem(c);
    const test::Values whole = problem.run().out;
    for (const auto& [time, rows] : {std::pair<int64_t, int64_t>{1, 1},
                                     {2, 1},
                                     {14, 3},
                                     {100, 100},
                                     {128, 1},
                                     {129, 1},
                                     {129, 2},
                                     {200, 60},
                                     {255, 17},
                                     {257, 1},
                                     {290, 129}}) {
      const test::Values some = problem.run_cached(time, rows);
      for (int64_t b = 0; b < c.batch; ++b)
        EXPECT_EQ(0, std::memcmp(&some[b * rows * problem.width], &whole[(b * c.time + time - rows) * problem.width],
                                 rows * problem.width * sizeof(double)))
            << rows << " rows up to " << time;
    }
  }
}

// Documents in one row give the bits... of their own pass only up to where blocks of keys begin; their values must
// agree.
TEST(AttentionKernel, DocumentsDoNotSeeEachOther) {
  const AttentionProblem<double> both({1, 1, 16, 200, Layout::blocks, 2});
  const test::Values together = both.run().out;
  AttentionProblem<double> changed({1, 1, 16, 200, Layout::blocks, 2});
  for (int64_t t = 0; t < 100; ++t)
    for (int64_t e = 0; e < 48; ++e) changed.qkv[t * 48 + e] = 1e3;
  const test::Values after = changed.run().out;
  EXPECT_EQ(0, std::memcmp(&together[100 * 16], &after[100 * 16], 100 * 16 * sizeof(double)));
  EXPECT_NE(0, std::memcmp(&together[0], &after[0], 100 * 16 * sizeof(double)));
}

// Frames behind the end of an utterance are a segment of their own: what they hold changes no bit before the end.
TEST(AttentionKernel, PaddingIsNotSeen) {
  const Case c{1, 1, 16, 200, Layout::blocks, 2, 0, 0, false};
  const AttentionProblem<double> padded(c);
  AttentionProblem<double> changed(c);
  for (int64_t t = 100; t < 200; ++t)
    for (int64_t e = 0; e < 48; ++e) changed.qkv[t * 48 + e] = 1e3;
  const AttentionResults before = padded.run(), after = changed.run();
  EXPECT_EQ(0, std::memcmp(before.out.data(), after.out.data(), 100 * 16 * sizeof(double)));
  EXPECT_EQ(0, std::memcmp(before.dqkv.data(), after.dqkv.data(), 100 * 48 * sizeof(double)));
  EXPECT_NE(0, std::memcmp(&before.out[100 * 16], &after.out[100 * 16], 100 * 16 * sizeof(double)));
}

// Large scores: no overflow, and the largest one takes all.
TEST(AttentionKernel, LargeScores) {
  AttentionProblem<float> problem({1, 1, 16, 150});
  for (double& x : problem.qkv) x *= 100;
  const AttentionResults got = problem.run();
  for (const double x : got.out) ASSERT_TRUE(std::isfinite(x));
  for (const double x : got.dqkv) ASSERT_TRUE(std::isfinite(x));
}

TEST(AttentionKernel, NanIsNotHidden) {
  AttentionProblem<float> problem({1, 1, 16, 40});
  problem.qkv[20 * 48 + 3] = NAN;  // in q of row 20
  const test::Values out = problem.run().out;
  EXPECT_TRUE(std::isnan(out[20 * 16]));
  EXPECT_FALSE(std::isnan(out[19 * 16]));
  EXPECT_FALSE(std::isnan(out[21 * 16]));
}

TEST(AttentionKernel, SaysWhatDoesNotFit) {
  kernels::Attention call{.shape = {.batch = 1, .heads = 1, .dim = 16, .q_time = 3, .kv_time = 2, .scale = 1},
                          .q = {},
                          .k = {},
                          .v = {},
                          .out = {}};
  EXPECT_THROW(kernels::attention.run(Device::cpu, {}, call), Error);
  call.shape.kv_time = 3, call.shape.scale = 0;
  EXPECT_THROW(kernels::attention.run(Device::cpu, {}, call), Error);
  call.shape.scale = 1, call.shape.dropout = 1;
  EXPECT_THROW(kernels::attention.run(Device::cpu, {}, call), Error);
}

}  // namespace
}  // namespace hinoki::kernels_attention_test
