// Going back from a bad step and on with other data: the bits are those of a run that never saw the batches left out,
// on any number of ranks, killed or stopped anywhere.
#include "train/rewind.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <limits>

#include "core/base/log.h"
#include "tests/end_to_end/tiny_program.h"
#include "tests/support/altered_task.h"
#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/ranks.h"
#include "train/train_loop.h"

namespace hinoki::rewind_test {
namespace {

// Batches, counted from 0, of which the second micro-batch's gradient is not a number.
test::AlterLoss poison(std::set<int64_t> batches) {
  return [=](const Tensor& loss, const Pass& pass, const Parameters& parameters) {
    if (!batches.contains(int64_t(pass.step)) || pass.first_row < 3) return loss;
    const Tensor& weight = parameters.find("gpt_neox.layers.1.mlp.dense_4h_to_h.weight").value;
    const Tensor nans = empty({weight.size(0)}, DType::f32);
    std::fill_n(nans.as<float>(), nans.numel(), std::numeric_limits<float>::quiet_NaN());
    return add(loss, weighted_sum_of_squares(weight, nans));
  };
}

struct Way {
  int ranks = 1;
  int64_t zero = 0;
};

class RewindTest : public testing::Test {
 protected:
  // Step 11 is bad. It goes back to step 4, for 8 is too near, and leaves out batches 4 to 11.
  RewindTest() {
    config_.train.reduction_slots = 2;
    config_.log.snapshot_every = 4;
    config_.guard = {.policy = GuardPolicy::rewind, .rewind_steps = 4, .skip_batches = 2};
    set_quiet(true);
    testing::internal::CaptureStderr();  // a rewind warns at length
  }
  ~RewindTest() override {
    copy_log_to("");
    set_quiet(false);
    const std::string said = testing::internal::GetCapturedStderr();
    if (HasFailure()) std::cerr << said;
  }

  test::AlteredConfig in(const std::string& folder, std::set<int64_t> bad = {10}, test::BatchOf batch_of = {}) const {
    GptConfig c = config_;
    c.run = (tiny_.folder / folder).string();
    if (batch_of) c.guard = {}, c.log.snapshot_every = 0;
    return {c, poison(std::move(bad)), std::move(batch_of)};
  }

  // As the program: from the newest snapshot, if there is one, to the end.
  static void to_the_end(test::AlteredConfig config, const Way& way = {}) {
    config.train.zero = way.zero;
    make_directory(config.run);
    copy_log_to(config.run + "/log.txt");
    remove_leftovers(config.run + "/snapshots", RunLock(config.run));
    for (const char* folder : {"", "/rewound"}) remove_temporaries(config.run + folder);
    test::on_ranks(way.ranks, [&](Communicator& ranks) {
      Profile profile({}, config.run, ranks);
      hinoki::Run run(config, ranks);
      if (const auto usable = find_usable(config.run + "/snapshots"); usable.found) run.resume(usable.found->path);
      TrainLoop(run, profile).to_the_end();
    });
  }

  // The first `calls` steps done, those included that are done again; then a save, as a signal asks for.
  static void stop_after(test::AlteredConfig config, int64_t calls, const Way& way) {
    config.train.zero = way.zero;
    test::on_ranks(way.ranks, [&](Communicator& ranks) {
      hinoki::Run run(config, ranks);
      for (int64_t i = 0; i < calls; ++i) {
        const StepReport r = run.step();
        if (!r.rewind && r.step % 4 == 0) run.save();
      }
      run.save();
    });
  }

  static std::string bits_of(const RunConfig& config) {
    return test::weights_of(config.run + "/snapshots/step-00000020");
  }

  const test::TinyRun tiny_;
  GptConfig config_ = tiny_.config;
};

test::BatchOf without(int64_t from, int64_t count) {
  return [=](int64_t step) { return step < from ? step : step + count; };
}

TEST_F(RewindTest, EndsWithTheBitsOfARunThatNeverSawTheBatches) {
  const auto reference = in("reference", {10}, without(4, 8));
  to_the_end(reference);
  for (const Way& way : {Way{1}, Way{2}, Way{2, 1}}) {
    const auto config = in(say("run-", way.ranks, "-", way.zero));
    to_the_end(config, way);
    EXPECT_EQ(bits_of(config), bits_of(reference)) << way.ranks << ' ' << way.zero;
    EXPECT_EQ(test::losses_in(config.run), test::losses_in(reference.run));

    const std::string log = bytes_of_file(config.run + "/log.txt");
    for (const char* part :
         {"step 11: the loss is nan", "is in the gradient of gpt_neox.layers.1.mlp.dense_4h_to_h.weight",
          "the batch is rows 60 to 65", "Going back to step 4 (", "without the 8 batches from there to 1 after the bad",
          "rows 24 to 71", "Rewind 1 of at most 10"})
      EXPECT_NE(log.find(part), log.npos) << part << log;
    EXPECT_EQ(log.find("Going back"), log.rfind("Going back"));
  }
}

TEST_F(RewindTest, RecordsThatAreLeftBehindAreKeptAside) {
  const auto config = in("run");
  to_the_end(config);
  EXPECT_NE(bytes_of_file(config.run + "/metrics.jsonl")
                .find("{\"step\": 5, \"rewind/from_step\": 11, \"rewind/first_row\": 24, \"rewind/rows\": 48}\n"
                      "{\"step\": 5, \"train/loss\""),
            std::string::npos);
  EXPECT_EQ(test::losses_in(config.run).size(), 20u);
  const std::string aside = bytes_of_file(config.run + "/rewound/step-11-row-72.jsonl");
  EXPECT_TRUE(aside.starts_with("{\"step\": 5, \"train/loss\"")) << aside;
  EXPECT_NE(aside.find("{\"step\": 11, \"train/loss\": \"nan\""), aside.npos) << aside;
  EXPECT_EQ(aside.find("\"step\": 4,"), aside.npos);
}

// After call 11 it has just gone back. What is saved at step 7, by a stop, is no place to go back to.
TEST_F(RewindTest, StoppedAnywhereAndResumedOnOtherRanksIsTheSameRun) {
  const auto whole = in("whole");
  to_the_end(whole);
  for (const int64_t calls : {7, 10, 11, 12, 15, 19}) {
    const auto config = in(say("stopped-", calls));
    stop_after(config, calls, {2, calls % 2});
    to_the_end(config, {calls % 3 ? 1 : 2, 1});
    EXPECT_EQ(bits_of(config), bits_of(whole)) << calls;
  }
}

// The process dies at every third call to the disk of a rewind: after step 13, from 14 back to 6, with 9 and 12 to be
// removed.
TEST_F(RewindTest, KilledWhileItGoesBackIsTheSameRun) {
  config_.log.snapshot_every = 3;
  config_.guard.rewind_steps = 6;
  const FaultyDisk no_flushes;
  const auto reference = in("reference", {13}, without(6, 9));
  to_the_end(reference);
  const auto base = in("base", {13});
  {
    make_directory(base.run);
    hinoki::Run run(base);
    Records records(base.run, 0, "rate");
    const Progress progress(20, 1, run.recipe().throughput(), 0);
    while (run.steps_done() < 12) {
      records.step(run.step(), progress, 0);
      if (run.steps_done() % 3 == 0) run.save();
    }
  }
  int64_t kills = 0, resumed_after_it = 0;
  bool died = true;
  for (int64_t at = 0; died; at += 3, ++kills) {
    const auto config = in("killed", {13});
    std::filesystem::remove_all(config.run);
    std::filesystem::copy(base.run, config.run, std::filesystem::copy_options::recursive);
    {
      hinoki::Run run(config);
      run.resume(run.snapshots() + "/step-00000012");
      Records records(config.run, 12, "rate");
      const Progress progress(20, 1, run.recipe().throughput(), 0);
      records.step(run.step(), progress, 0);
      const FaultyDisk disk({.at = at, .for_ever = true});
      try {
        const StepReport report = run.step();
        ASSERT_TRUE(report.rewind);
        records.step(report, progress, 0);
        records.rewind(report);
      } catch (const Error&) {
      }
      died = FaultyDisk::calls() > at;
    }
    const auto usable = find_usable(config.run + "/snapshots");
    ASSERT_TRUE(usable.found && usable.rejected.empty());
    resumed_after_it += usable.found->step == 6;
    const FaultyDisk no_flushes_either;
    to_the_end(config);
    EXPECT_EQ(bits_of(config), bits_of(reference)) << "died at call " << at;
    EXPECT_EQ(test::losses_in(config.run), test::losses_in(reference.run)) << at;
    EXPECT_EQ(test::names_in(config.run + "/rewound"), std::vector<std::string>{"step-14-row-90.jsonl"});
  }
  EXPECT_GT(kills, 15);
  EXPECT_GT(resumed_after_it, 5);
}

// Batch 13 comes right after the first rewind: no snapshot lies far enough before it but the one gone back to.
TEST_F(RewindTest, MayGoBackToTheSameSnapshotAgain) {
  const auto reference = in("reference", {10, 13}, without(4, 11));
  to_the_end(reference);
  const auto config = in("run", {10, 13});
  to_the_end(config, {2, 1});
  EXPECT_EQ(bits_of(config), bits_of(reference));
  EXPECT_EQ(test::names_in(config.run + "/rewound"),
            (std::vector<std::string>{"step-11-row-72.jsonl", "step-6-row-90.jsonl"}));
}

TEST_F(RewindTest, DamagedWeightsAreLeftBehind) {
  hinoki::Run run(in("run", {}));
  for (int64_t i = 0; i < 6; ++i) {
    run.step();
    if (i == 1) run.save();
  }
  run.parameters().all()[1].value.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_ERROR(run.step(), Exit::numerical, "in the weights of");  // step 2 is none of every 4
  run.resume(run.snapshots() + "/step-00000002");
  while (run.steps_done() < 8) {
    run.step();
    if (run.steps_done() == 4) run.save();
  }
  run.parameters().all()[1].value.as<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(run.step().rewind->to, 4);
  EXPECT_TRUE(std::isfinite(run.step().loss));
}

TEST_F(RewindTest, ASnapshotThatDoesNotVerifyIsPassedOver) {
  config_.log.keep_last = 9;
  const auto config = in("run", {14});
  hinoki::Run run(config);
  while (run.steps_done() < 14) {
    run.step();
    if (run.steps_done() % 4 == 0) run.save();
  }
  test::flip_bit(run.snapshots() + "/step-00000008/model.safetensors", -5);
  EXPECT_EQ(run.step().rewind->to, 4);
  EXPECT_EQ(test::names_in(run.snapshots()), std::vector<std::string>{"step-00000004"});
}

TEST_F(RewindTest, WithoutASnapshotEarlyEnoughItStops) {
  const auto young = in("young", {2});
  EXPECT_ERROR(to_the_end(young), Exit::numerical, "and the run is younger than that");
  const auto config = in("run", {5});
  EXPECT_ERROR(to_the_end(config, {2, 1}), Exit::numerical,
               "asks for a snapshot of step 2 or before, and none is there that verifies");
  EXPECT_EQ(find_usable(config.run + "/snapshots").found->step, 4);
}

TEST_F(RewindTest, StopsAfterTooManyInARow) {
  config_.guard.most_in_a_row = 3;
  std::set<int64_t> all;
  for (int64_t b = 10; b < 100; ++b) all.insert(b);
  const auto config = in("run", all);
  EXPECT_ERROR(to_the_end(config, {2}), Exit::numerical, "and 3 rewinds before it have not led past such steps");
  EXPECT_EQ(test::names_in(config.run + "/rewound").size(), 3u);
}

TEST_F(RewindTest, ARowEndsWellPastTheBadStep) {
  RunState state{.step = 13, .rewinds_in_a_row = 2, .rewound_from = 11, .rewound_to = 4};
  remember_progress(config_.guard, state);
  EXPECT_EQ(state.rewinds_in_a_row, 2);
  ++state.step;  // step 15 was good
  remember_progress(config_.guard, state);
  EXPECT_EQ(state.rewinds_in_a_row, 0);
}

TEST_F(RewindTest, ContradictionsAreRefused) {
  const auto refused = [&](auto change, const char* why) {
    GptConfig c = config_;
    change(c);
    EXPECT_ERROR(hinoki::Run{c}, Exit::usage, why);
  };
  refused([](GptConfig& c) { c.log.snapshot_every = 0; },
          "goes back to the snapshots that log.snapshot_every asks for");
  refused([](GptConfig& c) { c.guard.rewind_steps = 0; }, "needs guard.rewind_steps");
  refused([](GptConfig& c) { c.guard.skip_batches = 0; }, "needs guard.skip_batches");
  refused([](GptConfig& c) { c.guard.policy = GuardPolicy::skip; }, "the policy is \"skip\"");
}

}  // namespace
}  // namespace hinoki::rewind_test
