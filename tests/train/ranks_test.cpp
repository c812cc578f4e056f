// The same bits on any number of ranks, threads, and with the optimizer whole or sharded; and resumed on another
// number.
#include "tests/support/ranks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks_run.h"
#include "tests/support/tiny_run.h"
#include "train/plan.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::ranks_test {
namespace {

using test::Bits;
using test::train;
using test::Way;

// A model of several chunks and buckets.
GptConfig wide(const test::TinyRun& tiny, const std::string& folder) {
  GptConfig c = tiny.in(folder);
  c.model.gpt_neox.hidden_size = 128;
  c.model.gpt_neox.intermediate_size = 256;
  c.train = {.steps = 50, .batch = 1, .micro_batches = 8, .seed = 11, .reduction_slots = 8, .bucket_mib = 0.5};
  c.learning_rate = {.peak = 3e-3, .warmup = 3};
  c.log.evaluate_sequences = 7;
  return c;
}

class Ranks : public test::QuietTest<> {};

TEST_F(Ranks, AnyNumberOfThemGivesTheSameBits) {
  const test::TinyRun tiny;
  const Bits alone = train(wide(tiny, "alone"), {}, 50);
  EXPECT_LT(alone.losses.back(), alone.losses.front() - 1) << "it learns";
  for (const Way& way : {Way{1, 2}, Way{2, 1}, Way{2, 2, 1}, Way{4, 1, 1}, Way{4, 2}, Way{8, 1}, Way{8, 1, 1}}) {
    const Bits bits = train(wide(tiny, "other"), way, 50);
    const std::string what = say(way.ranks, " ranks, ", way.threads, " threads, zero ", way.zero);
    EXPECT_EQ(bits.losses, alone.losses) << what;
    EXPECT_EQ(bits.evaluations, alone.evaluations) << what;
    EXPECT_TRUE(bits == alone) << what;
  }
}

// Stopped after any step on one number of ranks and resumed on another one.
TEST_F(Ranks, AResumeMayHaveAnotherNumberOfThem) {
  const test::TinyRun tiny;
  const Bits alone = train(wide(tiny, "alone"), {}, 12);
  const Way ways[] = {{1, 1, 0}, {2, 1, 1}, {4, 1, 0}, {8, 1, 1}, {2, 1, 0}, {4, 1, 1}};
  for (int64_t k = 0; k < 12; ++k) {
    const GptConfig config = wide(tiny, say("stopped-", k));
    const Way before = ways[k % 6], after = ways[(k + 1 + k / 6) % 6];
    Bits first = train(config, before, k, true);
    const Bits second = train(config, after, 12);
    first.losses.insert(first.losses.end(), second.losses.begin(), second.losses.end());
    EXPECT_EQ(first.losses, alone.losses) << "stopped after " << k;
    EXPECT_TRUE(second.weights == alone.weights && second.moments == alone.moments) << "stopped after " << k;
  }
}

// The plan's arithmetic against the buffers that are there.
TEST_F(Ranks, NeedWhatThePlanTells) {
  const test::TinyRun tiny;
  for (const Way& way : {Way{1}, Way{2, 1, 1}, Way{4, 1, 0}, Way{8, 1, 1}})
    test::on_ranks(way.ranks, [&](Communicator& ranks) {
      GptConfig config = wide(tiny, "run");
      config.train.zero = way.zero;
      const hinoki::Run run(config, ranks);
      const Plan plan = make_plan(RecipeOf<GptConfig>(config), way.ranks);
      // Parts are whole chunks, so a rank may have one more than its share of each bucket.
      const double chunk = 4 * Parameters::kChunk, buckets = double(plan.gradient_bytes) / (1 << 19) + 1;
      EXPECT_LE(run.reduction_bytes(), double(plan.reduction_bytes) + chunk * way.ranks) << way.ranks;
      EXPECT_GE(run.reduction_bytes(), double(plan.reduction_bytes) - chunk) << way.ranks;
      const double moments = double(run.optimizer().bytes());
      EXPECT_NEAR(moments, double(plan.moment_bytes), way.zero ? 2 * chunk * buckets : 0) << way.ranks;
    });
}

TEST_F(Ranks, ThatCannotShareTheSlotsAreRefused) {
  const test::TinyRun tiny;
  EXPECT_ERROR(train(wide(tiny, "three"), {.ranks = 3}, 1), Exit::usage, "3 ranks cannot share");
  GptConfig open = wide(tiny, "open");
  open.train.reduction_slots = 0;
  open.train.micro_batches = 3;
  EXPECT_ERROR(train(open, {.ranks = 2}, 1), Exit::usage, "train.micro_batches 3 is not a multiple");
}

TEST_F(Ranks, ThatBeginWithOtherWeightsAreRefused) {
  const test::TinyRun tiny;
  EXPECT_ERROR(test::on_ranks(2,
                              [&](Communicator& ranks) {
                                GptConfig config = wide(tiny, "run");
                                config.train.seed = 5 + ranks.rank();
                                hinoki::Run(config, ranks).meet();
                              }),
               Exit::failure, "rank 1 has other weights than rank 0");
}

TEST_F(Ranks, ASignalToOneStopsAllAtTheSameStep) {
  const test::TinyRun tiny;
  test::on_ranks(2, [&](Communicator& ranks) {
    hinoki::Run run(wide(tiny, "run"), ranks);
    EXPECT_EQ(run.step(0).stop, 0);
    EXPECT_EQ(run.step(ranks.first() ? 0 : 15).stop, 15);
  });
}

TEST_F(Ranks, NotANumberOnOneStopsAllAndIsNamed) {
  const test::TinyRun tiny;
  std::vector<std::string> messages(2);
  test::on_ranks(2, [&](Communicator& ranks) {
    hinoki::Run run(wide(tiny, "run"), ranks);
    run.step();
    if (!ranks.first()) run.parameters().find("embed_out.weight").value.as<float>()[7] = NAN;
    try {
      run.step();
    } catch (const Error& e) {
      EXPECT_EQ(e.code, Exit::numerical);
      messages[size_t(ranks.rank())] = e.what();
    }
  });
  EXPECT_EQ(messages[0], messages[1]);
  EXPECT_NE(messages[0].find("embed_out.weight"), std::string::npos) << messages[0];
}

}  // namespace
}  // namespace hinoki::ranks_test
