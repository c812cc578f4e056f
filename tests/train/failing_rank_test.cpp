// One rank fails alone, at the worst moments: the others end with its reason, or name it as lost, and what was saved
// before stays.
#include <gtest/gtest.h>

#include <stdexcept>

#include "core/base/log.h"
#include "tests/end_to_end/tiny_program.h"
#include "tests/support/altered_task.h"
#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/ranks.h"
#include "train/train_loop.h"

namespace hinoki::failing_rank_test {
namespace {

// Several buckets of one chunk each, of which two ranks have their parts.
GptConfig wide(const test::TinyRun& tiny, const std::string& folder) {
  GptConfig c = tiny.in(folder);
  c.model.gpt_neox.hidden_size = 128;
  c.model.gpt_neox.intermediate_size = 256;
  c.train = {.steps = 12, .batch = 1, .micro_batches = 4, .seed = 11, .reduction_slots = 2, .zero = 1};
  c.train.bucket_mib = 0.5;
  c.log.snapshot_every = 4;
  c.log.evaluate_sequences = 2;
  return c;
}

class FailingRank : public testing::Test {
 protected:
  FailingRank() { set_quiet(true); }
  ~FailingRank() override { set_quiet(false); }
  const test::TinyRun tiny_;
};

// What a rank fails with in the backward pass of its last micro-batch, when all other gradients are there: a node made
// before all others of a graph runs last.
template <class Failure>
test::AlterLoss fail_in_backward(int64_t step, Failure failure) {
  return [=, early = Tensor()](const Tensor& loss, const Pass& pass, const Parameters& parameters) mutable {
    if (int64_t(pass.step) + 1 != step) return loss;
    if (early.defined()) return add(loss, early);
    early = differentiable(zeros({}, DType::f64), {parameters.all()[0].value},
                           [failure](const Tensor&) -> Grads { throw failure; });
    return loss;
  };
}

// As a process that ends without a word.
TEST_F(FailingRank, ThatDiesInTheBackwardPassIsNamed) {
  EXPECT_ERROR(test::on_ranks(
                   2,
                   [&](Communicator& ranks) {
                     const GptConfig config = wide(tiny_, "run");
                     const test::AlteredConfig dies(config, fail_in_backward(3, std::runtime_error("broken")));
                     std::optional<hinoki::Run> run;
                     ranks.first() ? run.emplace(config, ranks) : run.emplace(dies, ranks);
                     try {
                       while (run->steps_done() < 5) run->step();
                     } catch (const std::runtime_error& e) {
                       if (dynamic_cast<const Error*>(&e)) throw;
                       EXPECT_EQ(run->steps_done(), 2);
                     }
                   },
                   1, 2),
               Exit::peer, "step 3: no answer from rank 1 within 2 s, waiting in \"gradients of bucket");
}

// With a deadline that the test would not outlive.
TEST_F(FailingRank, ThatFailsInTheBackwardPassEndsAllWithItsReason) {
  std::vector<std::string> said(2);
  test::on_ranks(
      2,
      [&](Communicator& ranks) {
        const GptConfig config = wide(tiny_, "run");
        const test::AlteredConfig fails(config, fail_in_backward(3, Error(Exit::failure, "broken")));
        try {
          std::optional<hinoki::Run> run;
          ranks.first() ? run.emplace(config, ranks) : run.emplace(fails, ranks);
          while (run->steps_done() < 5) run->step();
        } catch (const Error& e) {
          EXPECT_EQ(e.code, Exit::failure);
          said[size_t(ranks.rank())] = e.what();
          ranks.leave(e);
        }
      },
      1, 3600);
  EXPECT_EQ(said, (std::vector<std::string>{"rank 1: broken", "broken"}));
}

// Rank 1 finds a damaged shard while snapshots are sharded: nothing can be saved together any more.
TEST_F(FailingRank, ThatReadsADamagedShardLeavesTheSnapshotBefore) {
  const GptConfig config = wide(tiny_, "run");
  make_directory(config.run);
  EXPECT_ERROR(test::on_ranks(
                   2,
                   [&](Communicator& ranks) {
                     const test::AlteredConfig mine(
                         config, [](const Tensor& loss, const Pass&, const Parameters&) { return loss; },
                         [first = ranks.first()](int64_t step) {
                           require<Exit::data>(first || step != 9, "train-00000.h5: dataset tokens is damaged");
                           return step;
                         });
                     Profile profile({}, config.run, ranks);
                     hinoki::Run run(mine, ranks);
                     TrainLoop(run, profile).to_the_end();
                   },
                   1, 3600),
               Exit::data, "rank 1: train-00000.h5: dataset tokens is damaged");
  // That of step 8 may have been under way.
  const auto usable = find_usable(config.run + "/snapshots");
  EXPECT_TRUE(usable.found && usable.found->step >= 4 && usable.rejected.empty());
  for (const std::string& name : test::names_in(config.run + "/snapshots"))
    EXPECT_EQ(name.find("tmp"), name.npos) << name;
}

// The last save of two ranks, of whose calls to the disk every third fails once, whoever makes it.
TEST_F(FailingRank, ThatCannotWriteItsPartEndsAllAndLosesNothing) {
  const GptConfig config = wide(tiny_, "run");
  const std::string snapshots = config.run + "/snapshots";
  const auto train = [&](int64_t steps) {
    test::on_ranks(
        2,
        [&](Communicator& ranks) {
          hinoki::Run run(config, ranks);
          if (const auto usable = find_usable(snapshots); usable.found) run.resume(usable.found->path);
          while (run.steps_done() < steps) run.step();
          run.save();
        },
        1, 3600);
  };
  train(1);
  int64_t told = 0, by_rank_1 = 0;
  bool failed = true;
  for (int64_t at = 0; failed; at += 3) {
    failed = false;
    {
      const FaultyDisk faulty({.at = at, .error = ENOSPC, .half = true});
      try {
        train(2);
      } catch (const Error& e) {
        ++told;
        const std::string what = e.what();
        by_rank_1 += what.starts_with("rank 1: ");
        EXPECT_EQ(e.code, Exit::failure) << what;
        EXPECT_NE(what.find(config.run), what.npos) << what;
      }
      failed = FaultyDisk::calls() > at;
    }
    const auto usable = find_usable(snapshots);
    ASSERT_TRUE(usable.found && usable.rejected.empty()) << at;
    for (const std::string& name : test::names_in(snapshots))
      EXPECT_EQ(name.find("tmp"), name.npos) << name << ' ' << at;
    if (usable.found->step == 2) std::filesystem::remove_all(usable.found->path);
  }
  EXPECT_GT(told, 20);
  EXPECT_GT(by_rank_1, 1);
}

// The part of rank 1 in the newest snapshot rots: both go on from the one before, to the same end.
TEST_F(FailingRank, WhosePartIsDamagedOnTheDiskFallsBack) {
  const auto train = [&](const GptConfig& config) {
    test::on_ranks(2, [&](Communicator& ranks) {
      hinoki::Run run(config, ranks);
      const auto usable = find_usable(config.run + "/snapshots");
      if (usable.found) run.resume(usable.found->path);
      for (const std::string& line : usable.rejected) EXPECT_NE(line.find("optimizer.safetensors"), line.npos) << line;
      EXPECT_EQ(usable.rejected.size(), usable.found ? 1u : 0u);
      while (run.steps_done() < 12) {
        run.step();
        if (run.steps_done() % 4 == 0) run.save();
      }
    });
  };
  GptConfig config = wide(tiny_, "run");
  config.log.keep_last = 3;
  train(config);
  const std::string last = config.run + "/snapshots/step-00000012", expected = test::weights_of(last);
  test::flip_bit(last + "/state/optimizer.safetensors", -100);
  train(config);
  EXPECT_EQ(test::weights_of(last), expected);
}

}  // namespace
}  // namespace hinoki::failing_rank_test
