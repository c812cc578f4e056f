#include "train/hubert_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/storage.h"
#include "train/config_file.h"
#include "train/hubert_task.h"

namespace hinoki::hubert_plan_test {
namespace {

HubertConfig sized(int64_t layers, Recompute recompute, const std::string& norm) {
  HubertConfig c;
  c.model.hidden_size = 64, c.model.num_hidden_layers = layers;
  c.model.num_attention_heads = 2, c.model.intermediate_size = 256;
  c.model.conv_dim = {32, 32, 32, 32, 32, 32, 32};
  c.model.feat_extract_norm = norm;
  c.data.crop_seconds = 2;
  c.train.batch = 2;
  c.train.recompute = recompute;
  return c;
}

// What a forward and backward pass allocates at most.
int64_t measured(const HubertConfig& c) {
  Parameters parameters(DType::f32);
  HubertForPretraining model(c.model, c.targets, Scope(parameters));
  model.hubert.recompute = c.train.recompute;
  parameters.allocate();
  parameters.initialize(1);
  const int64_t rows = c.train.batch, frames = c.row_frames();
  HubertInput input{.samples = zeros({rows, c.row_samples()}, DType::f32),
                    .masked_frames = zeros({rows, frames}, DType::i32)};
  for (int64_t i = 0; i < rows * frames; i += 2) input.masked_frames.as<int32_t>()[i] = 1;
  const Tensor labels = zeros({rows, frames}, DType::i32);
  const auto pass = [&] { backward(model.loss(input, labels, {.training = true}).total); };
  pass();
  const auto before = int64_t(memory_use().live);
  reset_peak_memory();
  pass();
  return int64_t(memory_use().peak) - before;
}

TEST(HubertPlan, TellsWhatAPassAllocates) {
  for (const char* norm : {"group", "layer"})
    for (const Recompute recompute : {Recompute::none, Recompute::inputs, Recompute::full}) {
      const HubertConfig c = sized(6, recompute, norm);
      const double plan = double(plan_of(c).activation_bytes), found = double(measured(c));
      EXPECT_GT(plan, 0.9 * found) << norm << ' ' << int(recompute) << ' ' << found;
      EXPECT_LT(plan, 1.1 * found) << norm << ' ' << int(recompute) << ' ' << found;
    }
}

// By hand, for the base model: 15.6 s are 779 frames; its convolutions make 512 numbers of 1, then of 512.
TEST(HubertPlan, CountsOperationsAsPyTorchDoes) {
  HubertConfig c;
  ASSERT_EQ(c.row_frames(), 779);
  const HubertCost cost = hubert_row_cost(c);
  double convs = 49919.0 * 512 * 10, frames[] = {24959, 12479, 6239, 3119, 1559, 779}, kernels[] = {3, 3, 3, 3, 2, 2};
  for (int i = 0; i < 6; ++i) convs += frames[i] * 512 * 512 * kernels[i];
  EXPECT_NEAR(cost.extractor, 6 * convs, 1e-9 * cost.extractor);
  const double layer = 4 * 768.0 * 768 + 2 * 768.0 * 3072, positions = 768.0 * 48 * 128;
  EXPECT_NEAR(cost.encoder, 6 * 779.0 * (512 * 768 + positions + 12 * layer), 1e-9 * cost.encoder);
  EXPECT_NEAR(cost.attention, 3 * 12 * 4 * 779.0 * 779 * 768, 1e-9 * cost.attention);
  EXPECT_NEAR(masked_frames_of_row(c.mask, 779) / 779, 1 - std::pow(1 - 62.32 / 769, 10), 1e-9);
}

}  // namespace
}  // namespace hinoki::hubert_plan_test
