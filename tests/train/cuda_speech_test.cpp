// Recipes "hubert" and "ctc", and features of a layer, on a CUDA device (or its emulator, where the build has one) as on the
// CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/isa.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/quiet_test.h"
#include "tests/support/tiny_ctc_run.h"
#include "tests/support/tiny_hubert_run.h"
#include "train/hubert_folder.h"
#include "train/layer_features.h"
#include "train/run.h"

namespace hinoki::cuda_speech_test {
namespace {

constexpr int64_t kSteps = 3;

class CudaSpeech : public test::QuietTest<> {};

// Losses of the first steps and of the validation behind them.
template <class Config>
std::vector<double> losses(Config config, Device device) {
  config.device = device;
  hinoki::Run run(config);
  std::vector<double> all;
  while (run.steps_done() < kSteps) all.push_back(run.step().loss);
  all.push_back(run.validate().loss);
  return all;
}

template <class Config>
std::vector<double> losses_on(Target target, const Config& config) {
  set_target(target);
  const auto all = losses(config, Device::cpu);
  set_target(best_target());
  return all;
}

// Rounding is measured as in cuda_run_test.cpp: the portable kernels round products and sums apart, the others together.
template <class Config>
void expect_the_losses_of_the_cpu(Config config) {
  config.train.batch = 2, config.train.micro_batches = 1, config.train.reduction_slots = 1;
  config.log.evaluate_sequences = 1;
  if (!has_device(Device::cuda)) {
    EXPECT_ERROR(losses(config, Device::cuda), Exit::usage, "a build with CUDA");
    return;
  }
  const auto cpu = losses(config, Device::cpu), other = losses_on(Target::portable, config);
  const auto cuda = losses(config, Device::cuda);
  double noise = 0;
  for (size_t i = 0; i < cpu.size(); ++i) {
    noise = std::max({noise, std::abs(cpu[i] - other[i]), 0x1p-23 * cpu[i]});
    EXPECT_NEAR(cuda[i], cpu[i], 16 * noise) << "step " << i + 1;
  }
  EXPECT_NE(cpu[0], cpu[1]);
}

TEST_F(CudaSpeech, PretrainingHasTheLossesOfTheCpu) {
  const test::TinyHubertRun tiny;
  expect_the_losses_of_the_cpu(tiny.config);
}

TEST_F(CudaSpeech, CtcHasTheLossesOfTheCpu) {
  test::TinyCtcRun tiny;
  tiny.config.freeze_encoder_steps = 1;  // both stages
  expect_the_losses_of_the_cpu(tiny.config);
}

TEST_F(CudaSpeech, LayerFeaturesAreThoseOfTheCpu) {
  if (!has_device(Device::cuda)) return;
  const test::TinyHubertRun tiny;
  const std::string snapshot = hinoki::Run(tiny.config).save();
  const SpeechCorpus corpus(tiny.config.data.corpus, "train");
  const LayerFeatures cpu(open_hubert(snapshot), 2, corpus);
  const LayerFeatures cuda(open_hubert(snapshot, {.device = Device::cuda}), 2, corpus);
  EXPECT_EQ(cpu.kind(), cuda.kind());
  std::vector<float> expected(size_t(cpu.frames(0) * cpu.dim())), got(expected.size());
  cpu.features(0, expected);
  cuda.features(0, got);
  double largest = 0;
  for (const float v : expected) largest = std::max(largest, std::abs(double(v)));
  // Some twenty sums, each of at most 48 products and 64 positions, behind each other.
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 20 * 0x1p-24 * 64 * largest) << i;
}

}  // namespace
}  // namespace hinoki::cuda_speech_test
