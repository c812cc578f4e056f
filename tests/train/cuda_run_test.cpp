// The same run on a CUDA device (or its emulator, where the build has one) as on the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "kernels/gemm.h"
#include "tests/support/expect_error.h"
#include "tests/support/train_command.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::cuda_run_test {
namespace {

constexpr int64_t kSteps = 6;

class CudaRun : public testing::Test {
 protected:
  void SetUp() override {
    set_quiet(true);
    tiny.config.train.steps = kSteps;
    tiny.config.train.batch = 2;
  }
  void TearDown() override { set_quiet(false); }

  GptConfig on_cuda(const std::string& run, Precision precision = Precision::f32) const {
    GptConfig config = tiny.in(run);
    config.device = Device::cuda;
    config.precision = precision;
    return config;
  }

  // Without a device a run must say how to get one.
  bool here() const {
    if (has_device(Device::cuda)) return true;
    EXPECT_ERROR(hinoki::Run(on_cuda("refused")), Exit::usage, "a build with CUDA");
    return false;
  }

  test::TinyRun tiny;
};

std::vector<double> losses(hinoki::Run& run, int64_t until = kSteps) {
  std::vector<double> all;
  while (run.steps_done() < until) all.push_back(run.step().loss);
  return all;
}

std::vector<double> losses(const GptConfig& config) {
  hinoki::Run run(config);
  return losses(run);
}

std::vector<double> losses_on(Target target, const GptConfig& config) {
  set_target(target);
  const auto all = losses(config);
  set_target(best_target());
  return all;
}

// What rounding does to this run is measured: the portable kernels round products and sums apart, the others together.
// CUDA's orders of summation are a third way, of the same kind.
TEST_F(CudaRun, GivesTheLossesOfTheCpu) {
  if (!here()) return;
  const auto cpu = losses(tiny.config), other = losses_on(Target::portable, tiny.config);
  const auto cuda = losses(on_cuda("cuda"));
  double noise = 0;
  for (size_t i = 0; i < cpu.size(); ++i) {
    noise = std::max({noise, std::abs(cpu[i] - other[i]), 0x1p-23 * cpu[i]});
    EXPECT_NEAR(cuda[i], cpu[i], 16 * noise) << "step " << i + 1;
  }
}

// bf16 keeps 8 bits: each of the two layers rounds a handful of times on the way to a logit.
TEST_F(CudaRun, LearnsInBf16) {
  if (!here()) return;
  const auto cpu = losses(tiny.config), cuda = losses(on_cuda("bf16", Precision::bf16));
  for (size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(cuda[i], cpu[i], 4 * 0x1p-8 * cpu[i]) << "step " << i + 1;
  EXPECT_LT(cuda.back(), cuda.front() - 0.5) << "it learns";
}

// What `hinoki train` records of each step.
std::vector<double> recorded_losses(const test::TinyRun& tiny, const GptConfig& config) {
  test::train(tiny, config);
  std::vector<double> all;
  std::istringstream lines(bytes_of_file(config.run + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    if (const Json record = parse_json(line, "metrics.jsonl"); record.contains("train/loss"))
      all.push_back(record["train/loss"].get<double>());
  return all;
}

// The setting, as a whole run has it. tf32 keeps 11 bits of the factors of products, and nothing else is rounded to it:
// the bound of bf16 above, with its own rounding.
TEST_F(CudaRun, LearnsInTf32) {
  if (!here()) return;
  struct Restore {
    kernels::MatmulPrecision before = kernels::matmul_precision;
    ~Restore() { kernels::matmul_precision = before; }
  } restore;
  tiny.config.samples.tokens = 0;
  const auto f32 = recorded_losses(tiny, on_cuda("f32"));
  const GptConfig config = on_cuda("tf32", Precision::tf32);
  const auto tf32 = recorded_losses(tiny, config);
  ASSERT_EQ(f32.size(), size_t(kSteps));
  ASSERT_EQ(tf32.size(), size_t(kSteps));
  for (size_t i = 0; i < f32.size(); ++i) EXPECT_NEAR(tf32[i], f32[i], 4 * 0x1p-11 * f32[i]) << "step " << i + 1;
  EXPECT_NE(tf32, f32) << "the setting reaches the products";
  EXPECT_NE(bytes_of_file(config.run + "/log.txt").find(", tf32 to f32, "), std::string::npos);
}

TEST_F(CudaRun, ResumesWithTheSameBits) {
  if (!here()) return;
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const std::string name = enum_names(precision)[size_t(precision)];
    const auto whole = losses(on_cuda(name + "-whole", precision));
    const GptConfig config = on_cuda(name + "-stopped", precision);
    std::vector<double> parts;
    {
      hinoki::Run first(config);
      parts = losses(first, 2);
      first.save();
    }
    hinoki::Run second(config);
    second.resume(find_usable(config.run + "/snapshots").found->path);
    for (const double loss : losses(second)) parts.push_back(loss);
    EXPECT_EQ(parts, whole) << name;
  }
}

// A snapshot of either device, in either precision, goes on anywhere: masters and moments are what training needs.
TEST_F(CudaRun, SnapshotsMoveBetweenDevicesAndPrecisions) {
  if (!here()) return;
  const GptConfig bf16 = on_cuda("from-bf16", Precision::bf16);
  std::string snapshot;
  double next = 0;
  {
    hinoki::Run run(bf16);
    losses(run, 3);
    snapshot = run.save();
    next = run.step().loss;
  }
  hinoki::Run there(tiny.in("on-the-cpu"));
  there.resume(snapshot);
  EXPECT_EQ(there.steps_done(), 3);
  EXPECT_NEAR(there.step().loss, next, 4 * 0x1p-8 * next);

  GptConfig f32 = tiny.in("from-the-cpu");
  {
    hinoki::Run run(f32);
    losses(run, 3);
    snapshot = run.save();
    next = run.step().loss;
  }
  hinoki::Run back(on_cuda("on-cuda"));
  back.resume(snapshot);
  EXPECT_NEAR(back.step().loss, next, 1e-5 * next);
}

}  // namespace
}  // namespace hinoki::cuda_run_test
