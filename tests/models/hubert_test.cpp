// What must hold of HuBERT in both of its forms; that it is transformers' HuBERT is hubert_golden_test's to show.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/parallel.h"
#include "models/hubert_ctc.h"
#include "tests/models/tiny_hubert.h"
#include "tests/support/expect_error.h"

namespace hinoki::hubert_test {
namespace {

using test::clusters_of, test::masked_sound, test::PretrainedHubert, test::sound, test::tiny_hubert;

std::vector<std::vector<double>> gradients_of(const Parameters& parameters) {
  std::vector<std::vector<double>> all;
  for (const Parameter& p : parameters.all()) all.push_back(test::values(p.value.grad()));
  return all;
}

class EveryHubert : public testing::TestWithParam<bool> {
 protected:
  bool large() const { return GetParam(); }
  HubertModelConfig config(double dropout = 0, double layerdrop = 0) const {
    return tiny_hubert(large(), dropout, layerdrop);
  }
};

TEST_P(EveryHubert, GradientIsTheDerivative) {
  PretrainedHubert m(config(0.2, 0.3), DType::f64);
  HubertInput input = masked_sound(3);
  input.lengths = {83, 61, 83};
  input.masked_channels = zeros({3, 12}, DType::i32);
  input.masked_channels.as<int32_t>()[15] = 1;
  const Tensor labels = clusters_of(input);
  labels.as<int32_t>()[4] = -100;
  std::fill_n(labels.as<int32_t>() + 12 + 8, 4, -100);  // row 1 has 8 frames
  const Pass pass{.training = true, .seed = 5, .step = 2, .first_row = 6};
  const auto loss = [&] { return m.model.loss(input, labels, pass).total; };
  m.parameters.clear_gradients();
  backward(loss());
  m.parameters.finish_gradients();
  int moved = 0;
  for (const Parameter& p : m.parameters.all()) {
    double largest = 1e-2;
    for (const double g : test::values(p.value.grad())) largest = std::max(largest, std::abs(g));
    for (int64_t i = 0; i < p.size(); i += std::max<int64_t>(1, p.size() / 3)) {
      double& w = p.value.as<double>()[i];
      const double before = w, h = 1e-5;
      const NoGrad no_grad;
      w = before + h;
      const double up = loss().item();
      w = before - h;
      const double down = loss().item();
      w = before;
      EXPECT_NEAR((up - down) / (2 * h), p.value.grad().as<double>()[i], 1e-6 * largest) << p.name << " " << i;
      moved += up != down;
    }
  }
  EXPECT_GT(moved, 60);
}

TEST_P(EveryHubert, RecomputeGivesTheSameBitsAndAnnouncesEachLeafOnce) {
  const HubertInput input = masked_sound(2);
  const Tensor labels = clusters_of(input);
  std::vector<std::vector<double>> first;
  for (const Recompute how : {Recompute::none, Recompute::inputs, Recompute::full}) {
    PretrainedHubert m(config(0.2));
    m.model.hubert.recompute = how;
    m.parameters.clear_gradients();
    size_t announced = 0;
    backward(m.model.loss(input, labels, {.training = true, .seed = 5, .step = 2}).total,
             [&](const std::shared_ptr<Leaf>&) { ++announced; });
    m.parameters.finish_gradients();
    EXPECT_EQ(announced, m.parameters.all().size());
    if (how == Recompute::none)
      first = gradients_of(m.parameters);
    else
      EXPECT_EQ(first, gradients_of(m.parameters));
  }
}

TEST_P(EveryHubert, BitsDoNotDependOnThreads) {
  const HubertInput input = masked_sound(3);
  std::vector<std::vector<double>> first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool own(threads);
    const UsePool use(own);
    PretrainedHubert m(config(0.2));
    m.parameters.clear_gradients();
    backward(m.model.loss(input, clusters_of(input), {.training = true}).total);
    m.parameters.finish_gradients();
    if (first.empty()) first = gradients_of(m.parameters);
    EXPECT_EQ(first, gradients_of(m.parameters)) << threads;
  }
}

// A batch is its rows, and padding is nothing: whatever it holds, and however much of it there is.
TEST_P(EveryHubert, RowsOfAPaddedBatchHaveTheBitsOfSingleRows) {
  const PretrainedHubert m(config());
  const NoGrad no_grad;
  HubertInput batch{.samples = sound({3, 83}, 4), .lengths = {55, 83, 31}};
  std::vector<Tensor> states;
  m.model.hubert.forward(batch, {}, &states);
  for (int64_t row = 0; row < 3; ++row) {
    const int64_t length = batch.lengths[size_t(row)], frames = m.model.hubert.config().frames(length);
    const HubertInput alone{.samples = contiguous(batch.samples.narrow(0, row, 1).narrow(1, 0, length))};
    std::vector<Tensor> own;
    m.model.hubert.forward(alone, {}, &own);
    ASSERT_EQ(own.size(), states.size());
    for (size_t i = 0; i < states.size(); ++i)
      EXPECT_TRUE(test::same_bits(own[i], contiguous(states[i].narrow(0, row, 1).narrow(1, 0, frames))))
          << "row " << row << ", state " << i;
  }
}

TEST_P(EveryHubert, NeighboursOfAMaskedFrameDoNotHearIt) {
  const PretrainedHubert m(config());
  const NoGrad no_grad;
  HubertInput input{.samples = sound({1, 83}, 4), .masked_frames = zeros({1, 12}, DType::i32)};
  std::fill_n(input.masked_frames.as<int32_t>(), 12, 1);
  const Tensor before = m.model.hubert.forward(input, {}).hidden;
  input.samples.as<float>()[40] += 0.5f;
  EXPECT_TRUE(test::same_bits(before, m.model.hubert.forward(input, {}).hidden));
  input.masked_frames.as<int32_t>()[6] = 0;
  const Tensor seen = m.model.hubert.forward(input, {}).hidden;
  EXPECT_FALSE(test::same_bits(before, seen));
  input.masked_channels = zeros({1, 12}, DType::i32);
  EXPECT_TRUE(test::same_bits(seen, m.model.hubert.forward(input, {}).hidden));
  std::fill_n(input.masked_channels.as<int32_t>(), 12, 1);
  const Tensor deaf = m.model.hubert.forward(input, {}).hidden;
  input.samples.as<float>()[40] -= 0.5f;
  EXPECT_TRUE(test::same_bits(deaf, m.model.hubert.forward(input, {}).hidden));
}

TEST_P(EveryHubert, LayerDropIsAFunctionOfSeedStepAndLayer) {
  const PretrainedHubert m(config(0, 0.4));
  const NoGrad no_grad;
  const HubertInput input{.samples = sound({1, 83}, 4)};
  std::vector<int> dropped(3);
  bool whole = false;
  for (uint64_t step = 0; step < 200; ++step) {
    const Pass pass{.training = true, .seed = 1, .step = step};
    std::vector<Tensor> states, again;
    m.model.hubert.forward(input, pass, &states);
    Pass elsewhere = pass;
    elsewhere.first_row = 8;  // another rank
    m.model.hubert.forward(input, elsewhere, &again);
    ASSERT_EQ(states.size(), 4u);
    int kept = 0;
    for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(test::same_bits(states[i], again[i])) << step;
    for (size_t i = 0; i < 2; ++i) {  // behind the last one a pre-norm model has its final norm
      const bool same = test::same_bits(states[i], states[i + 1]);
      dropped[i] += same;
      kept += !same;
    }
    whole = whole || kept == 2;
  }
  EXPECT_TRUE(whole);
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(dropped[i], 80, 4 * std::sqrt(200 * 0.4 * 0.6)) << i;
  std::vector<Tensor> states;
  m.model.hubert.forward(input, {}, &states);
  for (size_t i = 0; i < 3; ++i) EXPECT_FALSE(test::same_bits(states[i], states[i + 1])) << "nothing is dropped in use";
}

TEST_P(EveryHubert, StopsBehindAnyLayer) {
  const PretrainedHubert m(config());
  const NoGrad no_grad;
  const HubertInput input{.samples = sound({2, 83}, 4)};
  std::vector<Tensor> states;
  const Tensor whole = m.model.hubert.forward(input, {}, &states).hidden;
  ASSERT_EQ(states.size(), 4u);
  EXPECT_TRUE(test::same_bits(states[3], whole));
  for (int64_t layers = 0; layers <= 3; ++layers) {
    std::vector<Tensor> some;
    EXPECT_TRUE(test::same_bits(m.model.hubert.forward(input, {}, &some, layers).hidden, states[size_t(layers)]))
        << layers;
    EXPECT_EQ(int64_t(some.size()), layers + 1);
  }
  EXPECT_ERROR(m.model.hubert.forward(input, {}, nullptr, 4), Exit::failure, "4 layers of 3");
}

// So micro-batches and ranks may cut a batch as they like.
TEST_P(EveryHubert, LossOfABatchIsTheSumOverItsRows) {
  const PretrainedHubert m(config(0.2, 0.2), DType::f64);
  const NoGrad no_grad;
  const HubertInput batch = masked_sound(4);
  const Tensor labels = clusters_of(batch);
  const Pass pass{.training = true, .seed = 5, .step = 1};
  const auto whole = m.model.loss(batch, labels, pass);
  double total = 0, penalty = 0;
  int64_t targets = 0;
  for (int64_t row = 0; row < 4; ++row) {
    const HubertInput one{.samples = contiguous(batch.samples.narrow(0, row, 1)),
                          .masked_frames = contiguous(batch.masked_frames.narrow(0, row, 1))};
    Pass own = pass;
    own.first_row = row;
    const auto loss = m.model.loss(one, contiguous(labels.narrow(0, row, 1)), own);
    total += loss.total.item(), penalty += loss.penalty, targets += loss.targets;
  }
  EXPECT_NEAR(whole.total.item(), total, 1e-12 * total);
  EXPECT_NEAR(whole.penalty, penalty, 1e-12 * penalty);
  EXPECT_EQ(whole.targets, targets);
  EXPECT_EQ(HubertForPretraining::count_targets(batch.masked_frames, labels), targets);
  EXPECT_GT(penalty, 0);
}

TEST_P(EveryHubert, PredictionsAreThoseOfTheLoss) {
  const PretrainedHubert m(config());
  const HubertInput input = masked_sound(3);
  const Tensor labels = clusters_of(input);
  labels.as<int32_t>()[0] = -100;
  input.masked_frames.as<int32_t>()[0] = 1;
  const NoGrad no_grad;
  const auto loss = m.model.loss(input, labels, {});
  const auto predictions = m.model.predict(input, labels);
  double sum = 0;
  for (const double x : test::values(predictions.losses)) sum += x;
  EXPECT_NEAR(sum, loss.cross_entropy, 1e-6 * sum);
  ASSERT_EQ(int64_t(predictions.likely.size()), loss.targets);
  ASSERT_EQ(predictions.labels.size(), predictions.likely.size());
  for (size_t i = 0; i < predictions.likely.size(); ++i) {
    // Above 1/2 a cluster is the likeliest one, and the likeliest of 7 has at least a seventh.
    const double loss_of_label = predictions.losses.as<double>()[i];
    const bool right = predictions.likely[i] == predictions.labels[i];
    EXPECT_TRUE(right || loss_of_label >= std::log(2.0)) << i;
    EXPECT_TRUE(!right || loss_of_label <= std::log(7.0)) << i;
  }
  HubertInput nothing = input;
  nothing.masked_frames = zeros({3, 12}, DType::i32);
  EXPECT_EQ(m.model.loss(nothing, labels, {}).total.item(), 0);
}

double norm_of(const Parameters& parameters, const std::string& part) {
  double sum = 0;
  for (const Parameter& p : parameters.all())
    if (p.name.find(part) != std::string::npos)
      for (const double g : test::values(p.value.grad())) sum += g * g;
  return std::sqrt(sum);
}

TEST_P(EveryHubert, ExtractorLearnsSlowerOrNotAtAll) {
  const HubertInput input = masked_sound(2);
  const auto train = [&](double multiplier, bool frozen) {
    auto m = std::make_unique<PretrainedHubert>(config());
    m->model.hubert.gradient_multiplier = multiplier;
    m->model.hubert.extractor_frozen = frozen;
    m->parameters.clear_gradients();
    backward(m->model.loss(input, clusters_of(input), {.training = true}).total);
    m->parameters.finish_gradients();
    return m;
  };
  const auto full = train(1, false), slow = train(0.1, false), frozen = train(1, true);
  const double before = norm_of(full->parameters, "feature_extractor");
  EXPECT_GT(before, 0);
  EXPECT_NEAR(norm_of(slow->parameters, "feature_extractor"), 0.1 * before, 1e-5 * before);
  EXPECT_EQ(norm_of(frozen->parameters, "feature_extractor"), 0);
  for (const auto* other : {&slow, &frozen})
    for (const char* part : {"feature_projection", "encoder", "label_embeddings"})
      EXPECT_EQ(norm_of((*other)->parameters, part), norm_of(full->parameters, part)) << part;
}

TEST_P(EveryHubert, HeadOfCtcLearnsAlone) {
  Parameters parameters(DType::f32);
  HubertForCtc model(config(), 9, Scope(parameters));
  parameters.allocate();
  parameters.initialize(1);
  model.frozen_steps = 10;
  const HubertInput input{.samples = sound({2, 83}, 4), .lengths = {83, 50}};
  EXPECT_EQ(model.frames(input), (std::vector<int64_t>{12, 6}));
  for (const uint64_t step : {9, 10}) {
    parameters.clear_gradients();
    const Tensor logits = model.forward(input, {.training = true, .step = step});
    EXPECT_EQ(logits.shape(), (Shape{2, 12, 9}));
    backward(logits, {}, test::uniform({2, 12, 9}, -1, 1, 3, DType::f32));
    parameters.finish_gradients();
    EXPECT_GT(norm_of(parameters, "lm_head"), 0);
    EXPECT_EQ(norm_of(parameters, "hubert.") > 0, step == 10) << step;
  }
}

TEST_P(EveryHubert, WrongInputsAreNamed) {
  const PretrainedHubert m(config());
  const Hubert& hubert = m.model.hubert;
  const int64_t least = hubert.config().least_samples();
  EXPECT_EQ(hubert.config().frames(least), 1);
  EXPECT_ERROR(hubert.forward({.samples = sound({1, least - 1}, 1)}, {}), Exit::data, "less than a frame");
  EXPECT_ERROR(hubert.forward({.samples = sound({2, 83}, 1), .lengths = {83}}, {}), Exit::failure,
               "1 lengths for 2 rows");
  EXPECT_ERROR(hubert.forward({.samples = sound({2, 83}, 1), .lengths = {83, 84}}, {}), Exit::data, "row 1 has 84");
  EXPECT_ERROR(hubert.forward({.samples = sound({2, 83}, 1), .lengths = {3, 83}}, {}), Exit::data, "row 0 has 3");
  EXPECT_ERROR(hubert.forward({.samples = sound({2, 83}, 1), .masked_frames = zeros({2, 11}, DType::i32)}, {}),
               Exit::failure, "masked_frames");
  EXPECT_ERROR(m.model.loss({.samples = sound({2, 83}, 1)}, zeros({2, 12}, DType::i32), {}), Exit::failure,
               "nothing to predict");
  EXPECT_ERROR(m.model.loss(masked_sound(2), zeros({2, 11}, DType::i32), {}), Exit::failure, "labels");
  HubertInput padded = masked_sound(2);
  padded.lengths = {83, 40};
  std::fill_n(padded.masked_frames.as<int32_t>() + 12, 12, 1);
  EXPECT_ERROR(m.model.loss(padded, clusters_of(padded), {}), Exit::failure, "frame 4 of row 1 is padding");
  HubertModelConfig maskless = config();
  maskless.mask_time_prob = 0;
  const PretrainedHubert other(maskless);
  EXPECT_ERROR(other.model.hubert.forward(masked_sound(2), {}), Exit::usage, "masked_spec_embed");
}

INSTANTIATE_TEST_SUITE_P(Forms, EveryHubert, testing::Bool(),
                         [](const auto& info) { return info.param ? "large" : "base"; });

TEST(HubertModelConfig, CountsFramesAsThePublishedModelsDo) {
  const HubertModelConfig base;
  EXPECT_EQ(base.frames(10'000), 31);
  EXPECT_EQ(base.frames(16'000), 49);
  EXPECT_EQ(base.frames(400), 1);
  EXPECT_EQ(base.frames(399), 0);
  EXPECT_EQ(base.frames(10'000, 1), 1999);
  EXPECT_EQ(base.hop(), 320);
  EXPECT_EQ(base.least_samples(), 400);
}

TEST(HubertModelConfig, ContradictionsAreNamed) {
  const auto refused = [](const std::string& part, auto&& change) {
    HubertModelConfig c;
    change(c);
    EXPECT_ERROR(c.check(), Exit::usage, part);
  };
  refused("num_attention_heads 7", [](auto& c) { c.num_attention_heads = 7; });
  refused("num_conv_pos_embedding_groups 5", [](auto& c) { c.num_conv_pos_embedding_groups = 5; });
  refused("7, 6 and 7", [](auto& c) { c.conv_kernel.pop_back(); });
  refused("number of convolutions = 0", [](auto& c) { c.conv_dim = c.conv_kernel = c.conv_stride = {}; });
  refused("conv_stride", [](auto& c) { c.conv_stride.assign(7, 4096); });
  refused("\"batch\"", [](auto& c) { c.feat_extract_norm = "batch"; });
  refused("relu", [](auto& c) { c.hidden_act = "relu"; });
  refused("gelu_new", [](auto& c) { c.feat_extract_activation = "gelu_new"; });
  refused("layerdrop = 1", [](auto& c) { c.layerdrop = 1; });
  HubertModelConfig().check();
}

TEST(HubertModelConfig, WeightsStartAsThoseOfFairseq) {
  HubertModelConfig c = tiny_hubert(false);
  c.hidden_size = 64, c.num_conv_pos_embedding_groups = 4, c.num_attention_heads = 4, c.conv_dim = {32, 32, 32};
  PretrainedHubert m(c);
  const Tensor v = m.parameters.find("encoder.pos_conv_embed.conv.weight_v").value,
               g = m.parameters.find("encoder.pos_conv_embed.conv.weight_g").value;
  for (int64_t tap = 0; tap < 4; ++tap) {
    double square = 0;
    for (int64_t i = 0; i < 64 * 16; ++i) square += std::pow(double(v.as<float>()[i * 4 + tap]), 2);
    EXPECT_NEAR(std::sqrt(square) / g.as<float>()[tap], 1, 0.1) << "a tap begins about as long as weight_v says";
  }
  const auto spread = [&](const std::string& name) {
    double low = 1e9, high = -1e9;
    for (const double x : test::values(m.parameters.find(name).value)) low = std::min(low, x), high = std::max(high, x);
    return std::pair{low, high};
  };
  const auto [low, high] = spread("feature_projection.projection.weight");
  const double bound = 1 / std::sqrt(32.0);
  EXPECT_TRUE(-bound <= low && low < -0.9 * bound && 0.9 * bound < high && high < bound) << low << " " << high;
  const auto [least, most] = spread("label_embeddings");
  EXPECT_TRUE(0 <= least && least < 0.1 && 0.9 < most && most < 1) << least << " " << most;
}

}  // namespace
}  // namespace hinoki::hubert_test
