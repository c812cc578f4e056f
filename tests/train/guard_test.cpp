// Steps with a bad loss or gradient: skipped, or the end of the run; and a run that skipped some resumes bit by bit.
#include "train/guard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <mutex>

#include "core/base/log.h"
#include "tests/support/altered_task.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_run.h"
#include "train/run.h"

namespace hinoki::guard_test {
namespace {

constexpr const char* kPoisoned = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight";

// A term whose gradient is not a number, in steps `first` to `last`, counted from 1.
test::AlterLoss poison(int64_t first, int64_t last) {
  return [=](const Tensor& loss, const Pass& pass, const Parameters& parameters) {
    const auto step = int64_t(pass.step) + 1;
    if (step < first || step > last) return loss;
    const Tensor& weight = parameters.find(kPoisoned).value;
    const Tensor nans = empty({weight.size(0)}, DType::f32);
    std::fill_n(nans.as<float>(), nans.numel(), std::numeric_limits<float>::quiet_NaN());
    return add(loss, weighted_sum_of_squares(weight, nans));
  };
}

std::string bits_of(const hinoki::Run& run) {
  std::string bits;
  for (const Parameter& p : run.parameters().all())
    for (const Tensor& t : {p.value.detach(), run.optimizer().first_moment(p), run.optimizer().second_moment(p)})
      bits.append(static_cast<const char*>(t.data()), size_t(t.numel()) * size_of(t.dtype()));
  return bits;
}

class Guard : public testing::Test {
 protected:
  void SetUp() override {
    set_quiet(true);
    config_.guard.policy = GuardPolicy::skip;
  }
  void TearDown() override { set_quiet(false); }
  const test::TinyRun tiny_;
  GptConfig config_ = tiny_.config;
};

TEST_F(Guard, ABatchWhoseGradientIsNotFiniteIsSkipped) {
  hinoki::Run run(test::AlteredConfig(config_, poison(7, 7)));
  std::string before;
  while (run.steps_done() < 20) {
    if (run.steps_done() == 6) before = bits_of(run);
    const StepReport r = run.step();
    EXPECT_EQ(r.skipped.empty(), r.step != 7) << r.skipped;
    if (r.step != 7) continue;
    EXPECT_NE(r.skipped.find("step 7: the loss is nan"), r.skipped.npos) << r.skipped;
    EXPECT_NE(r.skipped.find("is in the gradient of " + std::string(kPoisoned)), r.skipped.npos) << r.skipped;
    EXPECT_NE(r.skipped.find("rows 36 to 41 of"), r.skipped.npos) << r.skipped;
    EXPECT_EQ(bits_of(run), before);
  }
  EXPECT_NE(bits_of(run), before);
  EXPECT_EQ(run.state().updates, 19);
}

// The first update of AdamW moves every weight that has a gradient by the learning rate, whenever it comes: its
// correction counts updates, not steps.
TEST_F(Guard, ASkippedStepIsNoUpdateToAdamW) {
  config_.learning_rate = {.peak = 1e-3, .decay = Decay::constant};
  config_.optimizer.weight_decay = 0;
  hinoki::Run run(test::AlteredConfig(config_, poison(1, 1)));
  const Parameter& p = run.parameters().find(kPoisoned);
  const std::vector<double> before = test::values(p.value.detach());
  EXPECT_FALSE(run.step().skipped.empty());
  EXPECT_EQ(test::values(p.value.detach()), before);
  run.step();
  const std::vector<double> after = test::values(p.value.detach());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(std::abs(after[i] - before[i]), 1e-3, 2e-5) << i;
}

TEST_F(Guard, ARunThatSkippedResumesAsTheSameRunOnAnyNumberOfRanks) {
  const auto poisoned = [&](const std::string& folder) {
    GptConfig c = config_;
    c.run = (tiny_.folder / folder).string();
    c.train.reduction_slots = 2;
    return test::AlteredConfig(c, poison(7, 8));
  };
  hinoki::Run whole(poisoned("whole"));
  while (whole.steps_done() < 20) whole.step();
  for (const int64_t stop : {6, 7, 8, 9}) {
    const auto config = poisoned("stopped");
    std::string snapshot;
    {
      hinoki::Run run(config);
      while (run.steps_done() < stop) run.step();
      snapshot = run.save();
    }
    std::mutex mutex;
    test::on_ranks(2, [&](Communicator& ranks) {
      hinoki::Run run(config, ranks);
      run.resume(snapshot);
      while (run.steps_done() < 20) run.step();
      const std::lock_guard lock(mutex);
      EXPECT_EQ(bits_of(run), bits_of(whole)) << "stopped after " << stop;
      EXPECT_EQ(run.state().loss_sum, whole.state().loss_sum);
    });
  }
}

TEST_F(Guard, ALossThatJumpsIsSkippedOnceThereIsAUsualOne) {
  config_.train.steps = 70;
  config_.guard.spike = 4;
  hinoki::Run run(test::AlteredConfig(config_, [](const Tensor& loss, const Pass& pass, const Parameters&) {
    if (pass.step != 20 && pass.step != 60) return loss;
    const Tensor more = zeros({}, DType::f64);
    *more.as<double>() = 50 * loss.item();
    return add(loss, more);
  }));
  while (run.steps_done() < 70) {
    const StepReport r = run.step();
    EXPECT_EQ(r.skipped.empty(), r.step != 61) << r.step << ' ' << r.skipped;
    if (r.step == 61) {
      EXPECT_NE(r.skipped.find("more than guard.spike = 4 times the usual"), r.skipped.npos) << r.skipped;
      EXPECT_NE(r.skipped.find("not finite is in no weight and no gradient"), r.skipped.npos) << r.skipped;
    }
  }
  EXPECT_EQ(run.state().updates, 69);
}

TEST_F(Guard, StopsWhereThePolicySaysSo) {
  config_.guard = {};
  hinoki::Run run(test::AlteredConfig(config_, poison(3, 3)));
  run.step(), run.step();
  const std::string before = bits_of(run);
  EXPECT_ERROR(run.step(), Exit::numerical, "step 3: the loss is nan");
  EXPECT_EQ(bits_of(run), before);
  EXPECT_EQ(run.steps_done(), 2);
}

TEST_F(Guard, StopsAfterTooManyInARow) {
  config_.guard.most_in_a_row = 3;
  hinoki::Run run(test::AlteredConfig(config_, poison(5, 20)));
  while (run.steps_done() < 7) run.step();
  EXPECT_ERROR(run.step(), Exit::numerical, "and 3 steps before it were skipped");
}

TEST_F(Guard, DamagedWeightsAreNeverSkippedOver) {
  hinoki::Run run(config_);
  run.step();
  run.parameters().all()[1].value.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(run.step(), Exit::numerical, "the first value that is not finite is in the weights of");
}

TEST_F(Guard, ASpikeOfNoJumpIsRefused) {
  GuardConfig guard{.spike = 0.5};
  EXPECT_ERROR(guard.check(), Exit::usage, "is not above 1");
}

}  // namespace
}  // namespace hinoki::guard_test
