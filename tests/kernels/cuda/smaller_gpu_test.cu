// GPUs whose blocks have less shared memory than an H100's: kernels that can do with less still run, the others are
// refused by name before anything is launched. Hardware has what it has: these run on the emulator.
#include <gtest/gtest.h>

#include <functional>

#include "kernels/ctc_loss.h"
#include "kernels/cuda/simt.h"
#include "kernels/softmax_loss.h"
#include "tests/support/attention_problem.h"
#include "tests/support/expect_error.h"

#if !defined(__CUDACC__)
namespace hinoki {
namespace {

using namespace hinoki::test;

constexpr size_t kSmall = 99 * 1024;  // compute capability 8.6 and 8.9

class SmallerGpu : public testing::Test {
 protected:
  SmallerGpu() { simt::set_shared_limit(kSmall); }
  ~SmallerGpu() override { simt::set_shared_limit(whole_); }

  void expect_the_same_as_on_a_large_one(const std::function<Values()>& run) const {
    Values there;
    simt::set_shared_limit(whole_);
    expect_on_cuda([&] { return there = run(), Values{}; }, {}, 0);
    simt::set_shared_limit(kSmall);
    expect_on_cuda(run, there, 0);
  }

 private:
  const size_t whole_ = simt::shared_limit();
};

// Rows of 117 KiB, which an H100 keeps: they are read again.
TEST_F(SmallerGpu, ReadsRowsTwiceThatItCannotKeep) {
  constexpr int64_t kVocabulary = 30000;
  expect_the_same_as_on_a_large_one([] {
    Operand<float> logits(uniform_values(2 * kVocabulary, -8, 8, 1));
    Operand<int32_t> labels(std::vector<int32_t>{29999, 5});
    Operand<double> loss(2);
    kernels::softmax_loss.run(here(), {},
                              {.logits = logits.data(),
                               .labels = labels.data(),
                               .loss = loss.data(),
                               .gradient = true,
                               .rows = 2,
                               .vocabulary = kVocabulary,
                               .dtype = DType::f32});
    return loss.values() + logits.values();
  });
}

TEST_F(SmallerGpu, AttendsWithHeadsThatFit) {
  for (const AttentionCase& c : {AttentionCase{1, 1, 64, 70}, {1, 1, 80, 33, Layout::blocks, 1, 0.1}})
    expect_the_same_as_on_a_large_one([&] {
      const AttentionResults r = AttentionProblem<bf16>(c).run();
      return r.out + r.lse + r.dqkv;
    });
}

// Pointers are null: whatever is launched ends with another message.
TEST_F(SmallerGpu, RefusesHeadsThatDoNotFit) {
  kernels::AttentionShape g{.batch = 1, .heads = 1, .dim = 128, .q_time = 40, .kv_time = 40, .scale = 1};
  const auto forward = [&] {
    kernels::attention.run(Device::cuda, {}, {.shape = g, .q = {}, .k = {}, .v = {}, .out = {}});
  };
  const auto backward = [&] {
    kernels::attention_grad.run(Device::cuda, {},
                                {.shape = g,
                                 .q = {},
                                 .k = {},
                                 .v = {},
                                 .out = {},
                                 .dout = {},
                                 .lse = nullptr,
                                 .dq = {},
                                 .dk = {},
                                 .dv = {}});
  };
  const auto refusal = [](const char* what, size_t bytes) {
    return say(what, " take ", bytes, " bytes of shared memory a block; this GPU has ", kSmall);
  };
  g.dtype = DType::bf16;
  EXPECT_ERROR(backward(), Exit::failure, refusal("attention_grad: heads of 128 elements in bf16", 141824));
  g.dim = 96, g.dropout = 0.1;
  EXPECT_ERROR(backward(), Exit::failure, refusal("attention_grad: heads of 96 elements in bf16 with dropout", 109056));
  g.dtype = DType::f32, g.dim = 256, g.dropout = 0;
  EXPECT_ERROR(forward(), Exit::failure, refusal("attention: heads of 256 elements in f32", 104448));
  EXPECT_ERROR(backward(), Exit::failure, refusal("attention_grad: heads of 256 elements in f32", 142336));
}

TEST_F(SmallerGpu, RefusesRowsOfLabelsThatDoNotFit) {
  const kernels::CtcLoss k{.logits = nullptr,
                           .frames = nullptr,
                           .labels = nullptr,
                           .label_lengths = nullptr,
                           .loss = nullptr,
                           .gradient = nullptr,
                           .rows = 1,
                           .time = 2048,
                           .classes = 4,
                           .most_labels = 2048,
                           .blank = 0,
                           .dtype = DType::f32};
  simt::set_shared_limit(64 * 1024);
  EXPECT_ERROR(kernels::ctc_loss.run(Device::cuda, {}, k), Exit::failure,
               "ctc_loss: 2048 labels take 100692 bytes of shared memory a block; this GPU has 65536");
}

// A kernel that asks for more than there is, and does not say so first, is caught.
__global__ void takes_much(float* out) {
  DYNAMIC_SHARED(memory, float);
  SHARED(more, float[4096]);
  more[threadIdx.x] = memory[threadIdx.x] = 1;
  out[threadIdx.x] = more[threadIdx.x];
}

TEST_F(SmallerGpu, LaunchesKeepToItsLimit) {
  Operand<float> out(32);
  const auto run = [&](size_t dynamic) {
    expect_on_cuda([&] { return simt::launch(takes_much, 1, 32, dynamic, {}, out.data()), Values{}; }, {}, 0);
  };
  run(kSmall - 4096 * sizeof(float));
  EXPECT_ERROR(simt::launch(takes_much, 1, 32, kSmall - 4000 * sizeof(float), {}, nullptr), Exit::failure,
               "of dynamic, of 101376 possible");
  EXPECT_ERROR(simt::launch(takes_much, 1, 32, kSmall + 4, {}, nullptr), Exit::failure,
               "101380 bytes of dynamic shared memory, of 101376 possible");
}

}  // namespace
}  // namespace hinoki
#endif
