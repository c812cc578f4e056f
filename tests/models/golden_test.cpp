// Models, gradients and ten training steps as PyTorch and transformers computed them (scripts/make_golden.py).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/safetensors.h"
#include "models/hugging_face.h"
#include "tests/support/op_check.h"
#include "train/batch.h"
#include "train/optimizer.h"

namespace hinoki {
namespace {

class Golden : public testing::TestWithParam<std::string> {
 protected:
  Golden()
      : folder_(std::string(HINOKI_SOURCE_DIR) + "/tests/golden/" + GetParam()),
        expected_(SafetensorsFile::open(folder_ + "/expected.safetensors")),
        parameters_(DType::f32),
        model_(make_model(read_hugging_face_config(folder_).model, parameters_)) {
    parameters_.allocate();
    WeightSource(folder_).fill(parameters_);
  }

  Tensor expected(const std::string& name) const {
    const StoredTensor t = expected_.at(name);
    Tensor copy = empty(t.shape, t.dtype);
    std::memcpy(copy.data(), t.bytes.data(), t.bytes.size());
    if (t.dtype == DType::i64) {  // ids
      Tensor narrow = empty(t.shape, DType::i32);
      std::copy_n(copy.as<int64_t>(), copy.numel(), narrow.as<int32_t>());
      return narrow;
    }
    return copy;
  }

  void expect_near(const Tensor& got, const std::string& name, double bound) const {
    const Tensor want = expected(name);
    ASSERT_EQ(got.shape(), want.shape()) << name;
    const auto a = test::values(got), b = test::values(want);
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], bound) << name << ", element " << i;
  }

  std::string folder_;
  SafetensorsFile expected_;
  Parameters parameters_;
  std::unique_ptr<CausalLm> model_;
};

double norm(const Tensor& t) {
  double sum = 0;
  for (const double x : test::values(t)) sum += x * x;
  return std::sqrt(sum);
}

double distance(const Tensor& a, const Tensor& b) {
  const auto x = test::values(a), y = test::values(b);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return std::sqrt(sum);
}

TEST_P(Golden, LogitsAndHiddenStates) {
  const NoGrad no_grad;
  std::vector<Tensor> states;
  const Tensor hidden = model_->hidden(expected("ids"), {}, {}, &states);
  expect_near(model_->logits(hidden), "logits", 1e-4);  // the bar of the project for f32
  for (size_t i = 0; i < states.size(); ++i) expect_near(states[i], say("hidden_states.", i), 1e-4);
  EXPECT_FALSE(expected_.contains(say("hidden_states.", states.size())));
}

TEST_P(Golden, LossAndGradients) {
  parameters_.clear_gradients();
  const Tensor loss = model_->loss(expected("ids"), expected("labels"), {}, {});
  const double want = expected("loss_sum").item();
  EXPECT_NEAR(loss.item(), want, 1e-5 * want);
  backward(loss);
  parameters_.finish_gradients();
  double global = 0;
  for (const Parameter& p : parameters_.all()) global += std::pow(norm(expected("grad." + p.name)), 2);
  global = std::sqrt(global);
  for (const Parameter& p : parameters_.all()) {
    const Tensor wanted = expected("grad." + p.name);
    // Some true gradients are zero (the key's bias, say), so each tensor is held against the larger of its own norm and
    // a thousandth of the global one.
    EXPECT_LE(distance(p.value.grad(), wanted), 1e-4 * std::max(norm(wanted), 1e-3 * global)) << p.name;
  }
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
    if (expected_.contains("final." + p.name)) {
      EXPECT_LE(distance(p.value.detach(), expected("final." + p.name)), 1e-4 * norm(p.value.detach())) << p.name;
      ++finals;
    }
  EXPECT_EQ(finals, 2);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Values("neox_parallel", "neox_sequential", "neox_no_attention_bias", "gpt2"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace hinoki
