// Reinforcement learning from scores: what it begins with exactly, what it learns, and the same bits whatever stops it
// and however many ranks it has.
#include "train/ppo_task.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_preference_run.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::ppo_test {
namespace {

class Ppo : public test::QuietTest<> {};
using Training = Run;

// Asked about two words, the model is to speak of books whatever the question.
struct TinyPpoRun {
  test::TinyPreferenceRun from{20};

  PpoConfig config(const std::string& name = "ppo") const {
    PpoConfig c;
    c.model = from.chat.config.model;
    c.data = {.path = from.chat.config.data.path, .longest = 64};
    c.rollout = {.answers = 16, .tokens = 12, .epochs = 2};
    c.reward.rules = {{.kind = RewardKind::regex, .pattern = "本"}};
    c.train = {.steps = 12, .batch = 4, .micro_batches = 2, .seed = 11};
    c.learning_rate = {.peak = 3e-3, .decay = Decay::constant};
    c.log.evaluate_sequences = 32;
    c.run = (from.chat.base.folder / name).string();
    c.start_from = from.base;
    return c;
  }
};

double found(const std::vector<Scalar>& scalars, const std::string& tag) {
  for (const Scalar& s : scalars)
    if (s.tag == tag) return s.value;
  ADD_FAILURE() << "no " << tag;
  return NAN;
}

struct Bits {
  std::vector<double> shown;
  double validation = 0;
  std::string weights;
  bool operator==(const Bits&) const = default;
};

void add_steps(Training& run, int64_t until, Bits& bits) {
  while (run.steps_done() < until) {
    const StepReport report = run.step();
    bits.shown.push_back(report.loss);
    for (const Scalar& s : report.shown.scalars)
      if (!s.tag.starts_with("time/")) bits.shown.push_back(s.value);
  }
}

Bits finished(Training& run, Bits bits = {}) {
  add_steps(run, 12, bits);
  bits.validation = run.validate().loss;
  for (const Parameter& p : run.parameters().all())
    bits.weights.append(static_cast<const char*>(p.value.data()), size_t(p.size()) * sizeof(float));
  return bits;
}

// Whatever holds the weights and the values: sampling, scoring and training run the same kernels.
TEST_F(Ppo, BeginsWithRatiosOfOneAndNoDivergence) {
  const TinyPpoRun tiny;
  const std::vector<std::function<void(PpoConfig&)>> forms{
      [](PpoConfig&) {}, [](PpoConfig& c) { c.policy.critic = Critic::separate; },
      [](PpoConfig& c) { c.lora.rank = 4; }};
  for (size_t form = 0; form < forms.size(); ++form) {
    PpoConfig config = tiny.config(say("form-", form));
    forms[form](config);
    Training run(config);
    EXPECT_EQ(plan_of(config).parameters, run.parameters().count());
    const StepReport first = run.step();
    EXPECT_EQ(found(first.shown.scalars, "val/largest_ratio_deviation"), 0);
    EXPECT_EQ(found(first.shown.scalars, "val/ratio"), 1);
    EXPECT_EQ(found(first.shown.scalars, "objective/kl"), 0);
    EXPECT_EQ(found(first.shown.scalars, "objective/kl_k3"), 0);
    EXPECT_EQ(found(first.shown.scalars, "policy/clipfrac_avg"), 0);
    EXPECT_GT(found(first.shown.scalars, "objective/entropy"), 0);
    // Padding of the vocabulary is never drawn, and the sampler rounds to float.
    EXPECT_LT(found(first.shown.scalars, "objective/sampler_difference"), 0.5);
    const StepReport second = run.step();
    EXPECT_GT(found(second.shown.scalars, "val/largest_ratio_deviation"), 0);
  }
}

TEST_F(Ppo, LearnsWhatIsRewarded) {
  const TinyPpoRun tiny;
  PpoConfig config = tiny.config();
  config.rollout.answers = 32;
  config.train.steps = 120;
  config.kl.limit = 30;
  Training run(config);
  const double before = -run.validate().loss;
  EXPECT_LT(before, 0.4);
  Bits bits;
  add_steps(run, 120, bits);
  EXPECT_GT(-run.validate().loss, 0.8);
}

TEST_F(Ppo, IsTheSameRunHoweverItIsCut) {
  const TinyPpoRun tiny;
  PpoConfig config = tiny.config("whole");
  config.train.reduction_slots = 2;
  config.reward.scale = ScoreScale::running;
  config.kl.target = 0.5;
  config.kl.horizon = 100;
  Training whole(config);
  const Bits expected = finished(whole);
  for (const int64_t k : {1, 3, 4, 10}) {  // a rollout is learned from in 4 steps
    config.run = tiny.config(say("stopped-", k)).run;
    Bits bits;
    {
      Training first(config);
      add_steps(first, k, bits);
      first.save();
    }
    Training second(config);
    second.resume(find_usable(config.run + "/snapshots").found->path);
    EXPECT_TRUE(finished(second, bits) == expected) << "stopped after step " << k;
  }
  test::on_ranks(2, [&](Communicator& ranks) {
    Training run(config, ranks);
    run.meet();
    EXPECT_TRUE(finished(run) == expected);
  });
}

TEST_F(Ppo, EndsWhereTheDivergencePassesItsLimit) {
  const TinyPpoRun tiny;
  PpoConfig config = tiny.config();
  config.kl.beta = 0;
  config.kl.limit = 0.01;
  config.learning_rate.peak = 3e-2;
  Training run(config);
  Bits bits;
  EXPECT_ERROR(add_steps(run, 12, bits), Exit::numerical, "nats from the reference, more than kl.limit 0.01");
  EXPECT_EQ(run.steps_done(), 4);  // the first rollout was learned from, the second is too far away
}

TEST_F(Ppo, ScoresComeFromAModelOrAProgram) {
  const TinyPpoRun tiny;
  RewardConfig reward = tiny.from.reward();
  Training teacher(reward);
  teacher.step();
  PpoConfig config = tiny.config("by-model");
  config.reward = {.model = teacher.save()};
  EXPECT_NE(found(Training(config).step().shown.scalars, "objective/scores"), 0);
  config = tiny.config("by-program");
  config.reward = {.program = "while read -r line; do echo 2.5; done", .missing_end = 1};
  Training run(config);
  const StepReport report = run.step();
  EXPECT_NEAR(found(report.shown.scalars, "objective/scores"),
              1.5 + found(report.shown.scalars, "objective/ended_answers"), 1e-12);
  config.run += "-bad";
  config.reward.program = "read -r line; exit 3";
  Training bad(config);
  EXPECT_ERROR(bad.step(), Exit::data, "3");
}

TEST_F(Ppo, WhatDoesNotFitIsRefused) {
  const TinyPpoRun tiny;
  const auto refused = [&](const std::function<void(PpoConfig&)>& change, const std::string& why) {
    PpoConfig config = tiny.config();
    change(config);
    EXPECT_ERROR((config.check(), config.reward.check()), Exit::usage, why);
  };
  refused([](PpoConfig& c) { c.start_from = ""; }, "start_from: name the model that learned to answer");
  refused([](PpoConfig& c) { c.rollout.answers = 12; }, "is not a multiple of train.batch x train.micro_batches = 8");
  refused([](PpoConfig& c) { c.rollout.tokens = 100; }, "positions");
  refused([](PpoConfig& c) { c.reward.program = "cat"; }, "give one of model, program and rules; 2 are given");
  refused([](PpoConfig& c) { c.lora.rank = 2, c.policy.critic = Critic::separate; }, "needs all weights to learn");
  PpoConfig config = tiny.config();
  config.data.longest = 4;
  EXPECT_ERROR(Training{config}, Exit::data, "more than data.longest 4; set that to more");
  config = tiny.config();
  config.reward = {.model = tiny.from.base};
  EXPECT_ERROR(Training{config}, Exit::usage, "is no reward model");
}

TEST_F(Ppo, QuestionsAreCutOrLeftOutWhereTheConfigSaysSo) {
  const TinyPpoRun tiny;
  PromptConfig config = tiny.config().data;
  const Prompts all(config, "train", "");
  size_t longest = 0, shortest = 1000;
  for (int64_t i = 0; i < all.count(); ++i)
    longest = std::max(longest, all[i].size()), shortest = std::min(shortest, all[i].size());
  config.longest = int64_t(longest) - 1;
  config.overlong = Overlong::truncate;
  const Prompts cut(config, "train", "");
  EXPECT_GT(cut.truncated(), 0);
  EXPECT_EQ(cut.count(), all.count());
  for (int64_t i = 0; i < cut.count(); ++i) EXPECT_EQ(cut[i].back(), all[i].back());
  config.overlong = Overlong::drop;
  const Prompts fewer(config, "train", "");
  EXPECT_EQ(fewer.dropped(), cut.truncated());
  EXPECT_EQ(fewer.count() + fewer.dropped(), all.count());
  config.longest = int64_t(shortest) - 1;
  EXPECT_ERROR(Prompts(config, "train", ""), Exit::data, "holds no question of up to");
}

}  // namespace
}  // namespace hinoki::ppo_test
