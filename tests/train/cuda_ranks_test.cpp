// Ranks that train on GPUs: the same bits on any number of them, by NCCL's twin or through their hosts.
#include <gtest/gtest.h>

#include "core/base/device.h"
#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/ranks_run.h"
#include "tests/support/timeline.h"
#include "tests/support/tiny_run.h"
#include "train/profile.h"
#include "train/train_loop.h"

namespace hinoki::cuda_ranks_test {
namespace {

using test::Bits;
using test::train;
using test::Way;

constexpr int64_t kSteps = 3;

// A model of a few chunks; buckets of two chunks, which four ranks do not share equally.
class CudaRanks : public test::QuietTest<> {
 protected:
  GptConfig config(BetweenGpus between, Precision precision = Precision::f32) const {
    GptConfig c = tiny.config;
    c.device = Device::cuda;
    c.precision = precision;
    c.model.gpt_neox.hidden_size = 64;
    c.model.gpt_neox.intermediate_size = 128;
    c.train = {.steps = kSteps, .batch = 1, .micro_batches = 4, .seed = 11, .reduction_slots = 4, .bucket_mib = 0.5};
    c.train.between_gpus = between;
    c.learning_rate = {.peak = 3e-3, .warmup = 2};
    c.log.evaluate_sequences = 3;
    return c;
  }
  // Threads share one GPU, which NCCL itself refuses.
  static std::vector<BetweenGpus> ways_between() {
    if (nccl::twins == nullptr) return {BetweenGpus::host};
    return {BetweenGpus::nccl, BetweenGpus::host};
  }

  test::TinyRun tiny;
};

TEST_F(CudaRanks, AnyNumberOfThemGivesTheSameBits) {
  if (!has_device(Device::cuda)) return;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const Bits alone = train(config(BetweenGpus::nccl, precision), {}, kSteps);
    for (const BetweenGpus between : ways_between())
      for (const Way& way : {Way{2}, Way{2, 1, 1}, Way{4}, Way{4, 1, 1}}) {
        if (precision == Precision::bf16 && way.ranks == 2) continue;
        const Bits bits = train(config(between, precision), way, kSteps);
        const std::string what = say(way.ranks, " ranks, zero ", way.zero, ", precision ", int(precision), ", between ",
                                     enum_names(between)[size_t(between)]);
        EXPECT_EQ(bits.losses, alone.losses) << what;
        EXPECT_EQ(bits.evaluations, alone.evaluations) << what;
        EXPECT_TRUE(bits == alone) << what;
      }
  }
}

// The exchange of the first buckets begins while the backward pass still gives work to the GPU.
TEST_F(CudaRanks, GradientsTravelDuringTheBackwardPass) {
  if (!has_device(Device::cuda)) return;
  for (const BetweenGpus between : ways_between()) {
    GptConfig c = config(between);
    c.model.gpt_neox.num_hidden_layers = 4;
    c.train.micro_batches = 2, c.train.reduction_slots = 2;
    c.train.bucket_mib = 0.25;
    make_directory(c.run);
    test::on_ranks(2, [&](Communicator& ranks) {
      Profile profile({2, 3}, c.run, ranks);
      hinoki::Run run(c, ranks);
      TrainLoop(run, profile).to_the_end();
    });
    int hidden = 0;
    const auto all = test::read_timeline(read_file(c.run + "/profile/trace.json", 1 << 26));
    for (const auto& exchange : all)
      for (const auto& backward : all)
        hidden += exchange.name == "exchange" && backward.name == "backward" && exchange.rank == backward.rank &&
                  overlap(exchange, backward) > 0;
    EXPECT_GT(hidden, 0) << enum_names(between)[size_t(between)];
    std::filesystem::remove_all(c.run);
  }
}

TEST_F(CudaRanks, ARankThatStallsIsNamed) {
  if (!has_device(Device::cuda)) return;
  for (const BetweenGpus between : ways_between()) {
    const auto start = std::chrono::steady_clock::now();
    std::string message;
    test::on_ranks(2, [&](Communicator& ranks) {
      hinoki::Run run(config(between), ranks);
      run.step();
      if (!ranks.first()) return;
      ranks.set_deadline(0.5);
      try {
        run.step();
      } catch (const Error& e) {
        EXPECT_EQ(e.code, Exit::peer);
        message = e.what();
      }
    });
    EXPECT_NE(message.find("step 2: no answer from rank 1 within 0.5 s, waiting in \"gradients of bucket"),
              std::string::npos)
        << message;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  }
}

}  // namespace
}  // namespace hinoki::cuda_ranks_test
