// HuBERTs, their hidden states, losses and gradients as transformers computed them (scripts/make_golden_hubert.py).
#include <gtest/gtest.h>

#include "models/hubert_pretraining.h"
#include "models/hugging_face_hubert.h"
#include "tests/support/golden.h"

namespace hinoki::hubert_golden_test {
namespace {

constexpr double kBar = 1e-4;  // the bar of the project for f32

std::string folder_of(const std::string& name) { return std::string(HINOKI_SOURCE_DIR) + "/tests/golden/" + name; }

void near_states(const test::Expected& expected, const std::vector<Tensor>& states, const Tensor& skipped) {
  for (size_t i = 0; i < states.size(); ++i) expected.near(states[i], say("hidden_states.", i), kBar, skipped);
  EXPECT_FALSE(expected.contains(say("hidden_states.", states.size())));
}

class GoldenHubertBase : public testing::Test {
 protected:
  GoldenHubertBase()
      : folder(folder_of("hubert_base")),
        expected(folder),
        config(read_hubert_config(folder)),
        parameters(DType::f32),
        model(config.model, {.classes = 11, .final_dim = 16}, Scope(parameters)) {
    parameters.allocate();
    WeightSource(folder).fill(parameters);
    for (const char* head : {"final_proj.weight", "final_proj.bias", "label_embeddings"})
      parameters.set(parameters.find(head), expected(head));
  }

  HubertInput input() const { return {.samples = expected("samples"), .masked_frames = expected("masked_frames")}; }

  std::string folder;
  test::Expected expected;
  HubertFolder config;
  Parameters parameters;
  HubertForPretraining model;
};

TEST_F(GoldenHubertBase, FeaturesAndHiddenStates) {
  const NoGrad no_grad;
  std::vector<Tensor> states;
  const HubertOutput out = model.hubert.forward({.samples = expected("samples")}, {}, &states);
  expected.near(out.features, "features", kBar);
  near_states(expected, states, {});
  expected.near(out.hidden, say("hidden_states.", states.size() - 1), kBar);
}

TEST_F(GoldenHubertBase, LossAndGradientsOfPretraining) {
  for (const Recompute how : {Recompute::none, Recompute::inputs, Recompute::full}) {
    model.hubert.recompute = how;
    parameters.clear_gradients();
    const auto loss = model.loss(input(), expected("labels"), {.training = true});  // all dropout is 0
    const double want = expected("loss").item();
    EXPECT_NEAR(loss.total.item(), want, 1e-5 * want);
    EXPECT_NEAR(loss.cross_entropy + loss.penalty, want, 1e-5 * want);
    EXPECT_GT(loss.penalty, 0.01 * want);
    backward(loss.total);
    parameters.finish_gradients();
    expected.gradients(parameters);
  }
}

TEST_F(GoldenHubertBase, ConfigIsReadAndPrintedAsItIs) {
  EXPECT_EQ(config.vocabulary, 0);
  EXPECT_FALSE(config.normalize);
  EXPECT_EQ(config.model.conv_dim, (std::vector<int64_t>{6, 8, 8, 6, 8, 8, 10}));
  EXPECT_EQ(config.model.num_conv_pos_embedding_groups, 4);
  EXPECT_FALSE(config.model.do_stable_layer_norm);
}

TEST(GoldenHubertLarge, HiddenStatesLogitsAndGradients) {
  const std::string folder = folder_of("hubert_large");
  const test::Expected expected(folder);
  const HubertFolder config = read_hubert_config(folder);
  EXPECT_EQ(config.vocabulary, 13);
  EXPECT_TRUE(config.normalize);
  Parameters parameters(DType::f32);
  const HubertForCtc model(config.model, config.vocabulary, Scope(parameters));
  parameters.allocate();
  WeightSource(folder).fill(parameters);
  const Tensor lengths = expected("lengths");
  const HubertInput input{.samples = expected("samples"),
                          .lengths = {lengths.as<int32_t>()[0], lengths.as<int32_t>()[1]}};
  const Tensor padded = model.hubert.padded_frames(input);
  ASSERT_TRUE(padded.defined());
  EXPECT_EQ(model.frames(input), (std::vector<int64_t>{12, 8}));

  std::vector<Tensor> states;
  parameters.clear_gradients();
  const Tensor logits = model.forward(input, {.training = true}, &states);
  near_states(expected, states, padded);
  expected.near(logits, "logits", kBar, padded);
  backward(logits, {}, expected("cotangent"));
  parameters.finish_gradients();
  expected.gradients(parameters);
}

}  // namespace
}  // namespace hinoki::hubert_golden_test
