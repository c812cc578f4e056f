// Learning from preferences: reward models and direct preference optimisation, in the same bits whatever stops them and
// however many ranks they have.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/log.h"
#include "models/hugging_face.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_preference_run.h"
#include "train/model_folder.h"
#include "train/publication.h"

namespace hinoki::preference_test {
namespace {

class Preference : public test::QuietTest<> {};

using Training = Run;

struct Bits {
  std::vector<double> shown;  // losses and all scalars of each step
  std::vector<double> validation;
  std::string weights;
  bool operator==(const Bits&) const = default;
};

void add_steps(Training& run, int64_t until, Bits& bits) {
  while (run.steps_done() < until) {
    const StepReport report = run.step();
    bits.shown.push_back(report.loss);
    for (const Scalar& s : report.shown.scalars) bits.shown.push_back(s.value);
  }
}

Bits finished(Training& run, Bits bits = {}) {
  add_steps(run, 16, bits);
  for (const Scalar& s : run.validate().scalars) bits.validation.push_back(s.value);
  for (const Parameter& p : run.parameters().all())
    bits.weights.append(static_cast<const char*>(p.value.data()), size_t(p.size()) * sizeof(float));
  return bits;
}

double found(const Validation& v, const std::string& tag) {
  for (const Scalar& s : v.scalars)
    if (s.tag == tag) return s.value;
  ADD_FAILURE() << "no " << tag;
  return NAN;
}

// Stopped anywhere, and on two ranks: the same run.
template <class Config>
void expect_the_same_bits(const std::function<Config(const std::string&)>& config_in) {
  Config config = config_in("whole");
  config.train.reduction_slots = 2;
  Training whole(config);
  const Bits expected = finished(whole);
  EXPECT_EQ(expected.shown.size(), 16u * 5);
  for (const int64_t k : {1, 11}) {
    config.run = config_in(say("stopped-", k)).run;
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

TEST_F(Preference, ARewardModelLearnsWhichAnswerIsBetter) {
  const test::TinyPreferenceRun tiny;
  Training run(tiny.reward());
  const Validation before = run.validate();
  EXPECT_LT(std::abs(found(before, "validation/rewards/margins")), 1);
  Bits bits;
  add_steps(run, 20, bits);
  const Validation after = run.validate();
  EXPECT_GT(found(after, "validation/rewards/accuracies"), 0.95);
  EXPECT_GT(found(after, "validation/rewards/margins"), 2 + found(before, "validation/rewards/margins"));
  // Centred: chosen and rejected rewards stand on both sides of zero.
  EXPECT_GT(found(after, "validation/rewards/chosen"), 0);
  EXPECT_LT(found(after, "validation/rewards/rejected"), 0);
}

TEST_F(Preference, ARewardModelIsTheSameRunHoweverItIsCut) {
  const test::TinyPreferenceRun tiny;
  expect_the_same_bits<RewardConfig>([&](const std::string& name) { return tiny.reward(name); });
}

// The folder scores texts as the task does, and is no language model.
TEST_F(Preference, ARewardModelsFolderScores) {
  const test::TinyPreferenceRun tiny;
  const RewardConfig config = tiny.reward();
  Training run(config);
  Bits bits;
  add_steps(run, 5, bits);
  const std::string folder = run.save();
  const LoadedRewardModel loaded = load_reward_model(folder);
  const Tokenizer tokenizer = Tokenizer::load(config.data.path);
  const PreferencePairs pairs(config, tokenizer.hash(), true);
  const Validation expected = run.validate();
  Solo alone;
  const NoGrad no_grad;
  const Validation got = pairs.validate(alone, [&](const PairExamples& e) {
    const Tensor r = (*loaded.model)(e.batch.ids, e.batch.segments, e.last, {});
    const Tensor wide = cast(r, DType::f64);
    return PreferencePairs::Judged{pairwise_loss(r, config.centring),
                                   {wide.as<double>(), wide.as<double>() + wide.numel()}};
  });
  EXPECT_EQ(got.loss, expected.loss);
  EXPECT_EQ(found(got, "validation/rewards/margins"), found(expected, "validation/rewards/margins"));
  EXPECT_ERROR(open_model(folder), Exit::usage, "is a reward model: it scores texts, and writes none");
  EXPECT_ERROR(load_reward_model(tiny.base), Exit::usage, "is no reward model");

  // And another run goes on from it, its head included.
  RewardConfig next = tiny.reward("next");
  next.start_from = folder;
  EXPECT_EQ(Training(next).validate().loss, expected.loss);
}

// What is scored is the end of each text, by itself: other texts in its row do not matter.
TEST_F(Preference, RewardsAreOfTextsAlone) {
  const test::TinyPreferenceRun tiny;
  RewardConfig config = tiny.reward();
  Training run(config);
  const double together = run.validate().loss;
  config.data.packed = false;
  EXPECT_NEAR(Training(config).validate().loss, together, 1e-6);
}

TEST_F(Preference, DpoBeginsAtTheReferenceAndLeavesItForTheChosenAnswers) {
  const test::TinyPreferenceRun tiny;
  for (const int64_t rank : {0, 4}) {  // a copy is the reference, or the model without its adapters
    DpoConfig config = tiny.dpo(say("rank-", rank));
    config.lora.rank = rank;
    if (rank) config.learning_rate.peak = 2e-2;
    Training run(config);
    const Validation before = run.validate();
    EXPECT_NEAR(before.loss, std::log(2), 1e-15);
    EXPECT_EQ(found(before, "validation/rewards/margins"), 0);
    Bits bits;
    add_steps(run, 20, bits);
    const Validation after = run.validate();
    EXPECT_GT(found(after, "validation/rewards/accuracies"), 0.9);
    EXPECT_GT(found(after, "validation/rewards/margins"), 1);
    EXPECT_LT(after.loss, 0.4);
  }
}

TEST_F(Preference, EveryFormOfDpoWidensTheMargin) {
  const test::TinyPreferenceRun tiny;
  for (const DpoLoss form : {DpoLoss::hinge, DpoLoss::ipo}) {
    DpoConfig config = tiny.dpo(say("form-", int(form)));
    config.loss = form;
    Training run(config);
    const double before = run.validate().loss;
    Bits bits;
    add_steps(run, 20, bits);
    const Validation after = run.validate();
    EXPECT_LT(after.loss, 0.7 * before);
    EXPECT_GT(found(after, "validation/rewards/margins"), 0.1);
  }
}

TEST_F(Preference, DpoIsTheSameRunHoweverItIsCut) {
  const test::TinyPreferenceRun tiny;
  expect_the_same_bits<DpoConfig>([&](const std::string& name) { return tiny.dpo(name); });
}

TEST_F(Preference, WhatDoesNotFitIsRefused) {
  const test::TinyPreferenceRun tiny(1);
  DpoConfig dpo = tiny.dpo();
  dpo.start_from = "";
  EXPECT_ERROR(dpo.check(), Exit::usage, "start_from: name the model that learned to answer");
  dpo = tiny.dpo();
  dpo.loss = DpoLoss::ipo;
  dpo.smoothing = 0.1;
  EXPECT_ERROR(dpo.check(), Exit::usage, "is for loss = \"sigmoid\" alone");
  RewardConfig reward = tiny.reward();
  reward.model.architecture = "gpt2";
  EXPECT_ERROR(reward.check(), Exit::usage, "only gpt_neox learns from preferences");
  reward = tiny.reward();
  reward.data.sequence = 16;
  EXPECT_ERROR(Training{reward}, Exit::data, "a row 16 for two; set data.sequence to more");
  reward = tiny.reward();
  reward.data.path = tiny.chat.config.data.path;
  EXPECT_ERROR(Training{reward}, Exit::data, "preferences");
}

}  // namespace
}  // namespace hinoki::preference_test
