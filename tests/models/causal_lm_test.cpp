// What must hold of every causal language model here, whatever its architecture.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/parallel.h"
#include "models/generation.h"
#include "models/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki {
namespace {

ModelConfig neox(bool parallel_residual, double rotary_pct, bool tied, double dropout) {
  ModelConfig c;
  c.gpt_neox = {.vocab_size = 53,
                .hidden_size = 24,
                .num_hidden_layers = 2,
                .num_attention_heads = 3,
                .intermediate_size = 40,
                .max_position_embeddings = 32,
                .hidden_act = parallel_residual ? "gelu_new" : "gelu",
                .rotary_pct = rotary_pct,
                .use_parallel_residual = parallel_residual,
                .tie_word_embeddings = tied,
                .hidden_dropout = dropout,
                .attention_dropout = dropout};
  return c;
}

ModelConfig gpt2(double dropout, bool tied) {
  ModelConfig c{.architecture = "gpt2", .gpt_neox = {}, .gpt2 = {}};
  c.gpt2 = {.vocab_size = 53,
            .n_embd = 24,
            .n_layer = 2,
            .n_head = 3,
            .n_inner = 40,
            .n_positions = 32,
            .attn_pdrop = dropout,
            .embd_pdrop = dropout,
            .resid_pdrop = dropout,
            .tie_word_embeddings = tied};
  return c;
}

struct Model {
  Parameters parameters;
  std::unique_ptr<CausalLm> lm;

  explicit Model(const ModelConfig& config, DType dtype = DType::f32, uint64_t seed = 3) : parameters(dtype) {
    lm = make_model(config, parameters);
    parameters.allocate();
    parameters.initialize(seed);
  }
};

class EveryModel : public testing::TestWithParam<ModelConfig> {};

TEST_P(EveryModel, GradientIsTheDerivative) {
  Model m(GetParam(), DType::f64);
  const Tensor ids = test::integers({3, 7}, 0, 53, 1), labels = test::integers({3, 7}, 0, 53, 2);
  labels.as<int32_t>()[4] = -100;
  const auto loss = [&] { return m.lm->loss(ids, labels, {}, {.training = true, .seed = 5, .step = 2}); };
  m.parameters.clear_gradients();
  backward(loss());
  m.parameters.finish_gradients();
  for (const Parameter& p : m.parameters.all()) {
    double largest = 1e-3;
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
    }
  }
}

TEST_P(EveryModel, RecomputeGivesTheSameBitsAndAnnouncesEachLeafOnce) {
  const Tensor ids = test::integers({2, 9}, 0, 53, 1), labels = test::integers({2, 9}, 0, 53, 2);
  std::vector<Tensor> gradients;
  size_t announced = 0;
  for (const Recompute how : {Recompute::none, Recompute::inputs, Recompute::full}) {
    Model m(GetParam());
    m.lm->recompute = how;
    m.parameters.clear_gradients();
    announced = 0;
    backward(m.lm->loss(ids, labels, {}, {.training = true, .seed = 5, .step = 2}),
             [&](const std::shared_ptr<Leaf>&) { ++announced; });
    m.parameters.finish_gradients();
    EXPECT_EQ(announced, m.parameters.all().size());
    for (size_t i = 0; i < m.parameters.all().size(); ++i) {
      const Tensor g = test::to(m.parameters.all()[i].value.grad(), DType::f32);
      if (how == Recompute::none)
        gradients.push_back(g);
      else
        EXPECT_TRUE(test::same_bits(gradients[i], g)) << m.parameters.all()[i].name;
    }
  }
}

TEST_P(EveryModel, CachedTokensHaveTheBitsOfTheWholePass) {
  const Model m(GetParam());
  const NoGrad no_grad;
  const Tensor ids = test::integers({1, 20}, 0, 53, 1);
  const Tensor whole = m.lm->hidden(ids, {}, {});
  auto caches = m.lm->make_caches(1, 20);
  for (int64_t begin = 0, step = 7; begin < 20; begin += step, step = 1) {
    const int64_t n = std::min<int64_t>(begin ? 1 : 7, 20 - begin);
    const Tensor part = m.lm->hidden_cached(contiguous(ids.narrow(1, begin, n)), caches);
    EXPECT_TRUE(test::same_bits(part, contiguous(whole.narrow(1, begin, n)))) << begin;
  }
}

TEST_P(EveryModel, BitsDoNotDependOnThreads) {
  const Tensor ids = test::integers({2, 30}, 0, 53, 1), labels = test::integers({2, 30}, 0, 53, 2);
  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    ThreadPool own(threads);
    const UsePool use(own);
    Model m(GetParam());
    m.parameters.clear_gradients();
    backward(m.lm->loss(ids, labels, {}, {.training = true}));
    std::vector<double> all;
    for (const Parameter& p : m.parameters.all())
      for (const double g : test::values(p.value.grad())) all.push_back(g);
    if (first.empty()) first = all;
    EXPECT_EQ(first, all) << threads;
  }
}

TEST_P(EveryModel, SegmentsKeepDocumentsApart) {
  const Model m(GetParam());
  const NoGrad no_grad;
  const Tensor ids = test::integers({1, 12}, 0, 53, 1);
  Tensor segments = zeros({1, 12}, DType::i32);
  for (int i = 5; i < 12; ++i) segments.as<int32_t>()[i] = 1;
  const Tensor before = m.lm->hidden(ids, segments, {});
  ids.as<int32_t>()[2] = (ids.as<int32_t>()[2] + 1) % 53;
  const Tensor after = m.lm->hidden(ids, segments, {});
  EXPECT_TRUE(test::same_bits(contiguous(before.narrow(1, 5, 7)), contiguous(after.narrow(1, 5, 7))));
  EXPECT_FALSE(test::same_bits(contiguous(before.narrow(1, 2, 3)), contiguous(after.narrow(1, 2, 3))));
}

TEST_P(EveryModel, TooLongSequencesAreRefused) {
  const Model m(GetParam());
  EXPECT_ERROR(m.lm->hidden(test::integers({1, 33}, 0, 53, 1), {}, {}), Exit::usage, "33");
}

INSTANTIATE_TEST_SUITE_P(Variants, EveryModel,
                         testing::Values(neox(false, 1.0, false, 0), neox(true, 0.25, true, 0),
                                         neox(true, 0.5, false, 0.2), gpt2(0, true), gpt2(0.2, false)),
                         [](const auto& info) { return std::to_string(info.index); });

TEST(Generation, GreedyFollowsTheLikeliestTokenAndStopsAtTheEnd) {
  const Model m(neox(false, 1.0, false, 0));
  const std::vector<int32_t> prompt{1, 2, 3};
  const auto made = generate(*m.lm, prompt, {.sampling = {.temperature = 0}, .max_tokens = 10});
  ASSERT_EQ(made.size(), 10u);
  std::vector<int32_t> all = prompt;
  for (const int32_t id : made) {
    const NoGrad no_grad;
    const Tensor logits = m.lm->logits(m.lm->hidden(from_values<int32_t>({1, int64_t(all.size())}, all), {}, {}));
    const float* last = logits.as<float>() + logits.numel() - 53;
    EXPECT_EQ(id, std::max_element(last, last + 53) - last);
    all.push_back(id);
  }
  const auto stopped = generate(*m.lm, prompt, {.sampling = {.temperature = 0}, .max_tokens = 10, .end = made[4]});
  EXPECT_LE(stopped.size(), 5u);
  EXPECT_EQ(stopped.back(), made[4]);
  EXPECT_EQ(generate(*m.lm, prompt, {.sampling = {}, .max_tokens = 1000}).size(), 29u)
      << "never past the model's positions";
}

TEST(TokenCost, IsThatOfTheMatrices) {
  const ModelConfig c = neox(false, 1, false, 0);
  // Two products of a multiply-add each way for every weight of a matrix but the embedding table.
  const double weights = 2 * (24 * 72 + 24 * 24 + 2 * 24 * 40) + 53 * 24;
  EXPECT_DOUBLE_EQ(token_cost(c, 32).products, 6 * weights);
  EXPECT_DOUBLE_EQ(token_cost(c, 32).attention, 3 * 2 * 4 * 32 * 24);
}

TEST(ModelConfig, ContradictionsAreNamed) {
  ModelConfig c = neox(false, 1, false, 0);
  c.gpt_neox.num_attention_heads = 5;
  EXPECT_ERROR(c.check(), Exit::usage, "hidden_size 24 is not a multiple of num_attention_heads 5");
  c = neox(false, 1, false, 0);
  c.gpt_neox.hidden_act = "relu";
  EXPECT_ERROR(c.check(), Exit::usage, "relu");
  c = neox(false, 0.4, false, 0);  // 3 of 8 dimensions
  EXPECT_ERROR(c.check(), Exit::usage, "odd");
}

}  // namespace
}  // namespace hinoki
