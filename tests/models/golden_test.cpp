// Models, gradients and ten training steps as PyTorch and transformers computed them (scripts/make_golden.py).
#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include "models/hugging_face.h"
#include "train/batch.h"
#include "train/optimizer.h"

namespace hinoki::golden_test {
namespace {

class Golden : public testing::TestWithParam<std::string> {
 protected:
  Golden()
      : folder_(std::string(HINOKI_SOURCE_DIR) + "/tests/golden/" + GetParam()),
        expected(folder_),
        parameters_(DType::f32),
        model_(make_model(read_hugging_face_config(folder_).model, parameters_)) {
    parameters_.allocate();
    WeightSource(folder_).fill(parameters_);
  }

  std::string folder_;
  test::Expected expected;
  Parameters parameters_;
  std::unique_ptr<CausalLm> model_;
};

TEST_P(Golden, LogitsAndHiddenStates) {
  const NoGrad no_grad;
  std::vector<Tensor> states;
  const Tensor hidden = model_->hidden(expected("ids"), {}, {}, &states);
  expected.near(model_->logits(hidden), "logits", 1e-4);  // the bar of the project for f32
  for (size_t i = 0; i < states.size(); ++i) expected.near(states[i], say("hidden_states.", i), 1e-4);
  EXPECT_FALSE(expected.contains(say("hidden_states.", states.size())));
}

TEST_P(Golden, LossAndGradients) {
  parameters_.clear_gradients();
  const Tensor loss = model_->loss(expected("ids"), expected("labels"), {}, {});
  const double want = expected("loss_sum").item();
  EXPECT_NEAR(loss.item(), want, 1e-5 * want);
  backward(loss);
  parameters_.finish_gradients();
  expected.gradients(parameters_);
}

TEST_P(Golden, TenStepsOfAdamW) {
  const Tensor batches = expected("batches"), losses = expected("losses");
  Optimizer optimizer(parameters_, {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1});
  const int64_t rows = batches.size(1), time = batches.size(2) - 1;
  for (int64_t step = 0; step < 10; ++step) {
    const Batch b = make_batch(rows, time, [&](int64_t row, std::span<int32_t> tokens) {
      std::copy_n(batches.as<int32_t>() + (step * rows + row) * (time + 1), time + 1, tokens.begin());
    });
    parameters_.clear_gradients();
    const Tensor loss = model_->loss(b.ids, b.labels, {}, {.training = true});
    backward(loss);
    parameters_.finish_gradients();
    const double mean = 1 / double(b.labels.numel()), want = losses.as<double>()[step];
    EXPECT_NEAR(loss.item() * mean, want, 1e-5 * want) << "step " << step;
    const double clip = std::min(1.0, 1 / (optimizer.gradient_norm(mean) + 1e-6));
    optimizer.update(1e-3, mean * clip, step);
  }
  int finals = 0;
  for (const Parameter& p : parameters_.all())
    if (expected.contains("final." + p.name)) {
      EXPECT_LE(test::Expected::distance(p.value.detach(), expected("final." + p.name)),
                1e-4 * test::Expected::norm(p.value.detach()))
          << p.name;
      ++finals;
    }
  EXPECT_EQ(finals, 2);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Values("neox_parallel", "neox_sequential", "neox_no_attention_bias", "gpt2"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace hinoki::golden_test
