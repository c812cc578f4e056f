// What must hold of every causal language model here, whatever its architecture.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/parallel.h"
#include "core/storage.h"
#include "models/generation.h"
#include "models/model.h"
#include "models/token_lines.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::causal_lm_test {
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

// The same sum without the logits of other places. Every row of the logits has its own bits; gradients of weights are
// sums over rows, here in other blocks.
TEST_P(EveryModel, TheLossOfLabelledRowsIsThatOfAllRows) {
  const Tensor ids = test::integers({3, 9}, 0, 53, 1);
  const Pass pass{.training = true, .seed = 5, .step = 2};
  for (const int64_t every : {1, 2, 5, 0}) {  // 0: nothing is learned
    const Tensor labels = test::integers({3, 9}, 0, 53, 2);
    for (int64_t i = 0; i < 27; ++i)
      if (every == 0 || i % every != 0) labels.as<int32_t>()[i] = -100;
    const LabelledRows labelled = find_labelled(labels);
    EXPECT_EQ(labelled.count(), every == 0 ? 0 : (27 + every - 1) / every);
    for (const DType dtype : {DType::f64, DType::f32}) {
      Model whole(GetParam(), dtype), part(GetParam(), dtype);
      const auto run = [&](Model& m, const auto& target) {
        m.parameters.clear_gradients();
        const Tensor loss = m.lm->loss(ids, target, {}, pass);
        backward(loss);
        m.parameters.finish_gradients();
        return loss.item();
      };
      EXPECT_EQ(run(part, labelled), run(whole, labels));
      for (size_t i = 0; i < whole.parameters.all().size(); ++i) {
        const Parameter& p = whole.parameters.all()[i];
        const auto want = test::values(p.value.grad()), got = test::values(part.parameters.all()[i].value.grad());
        double norm = 0;
        for (const double g : want) norm += g * g;
        const double epsilon = dtype == DType::f64 ? 0x1p-52 : 0x1p-23;
        for (size_t k = 0; k < want.size(); ++k)
          EXPECT_NEAR(got[k], want[k], double(ids.numel()) * epsilon * std::sqrt(norm)) << p.name << " " << k;
      }
    }
  }
}

TEST_P(EveryModel, RecomputeGivesTheSameBitsAndAnnouncesEachLeafOnce) {
  const Tensor ids = test::integers({2, 9}, 0, 53, 1), labels = test::integers({2, 9}, 0, 53, 2);
  ModelConfig config = GetParam();
  config.gpt_neox.num_hidden_layers = config.gpt2.n_layer = 6;
  ASSERT_EQ(mlps_made_again(6, 18, 40, 53, Device::cpu), 1) << "or one of the three ways is not tried";
  std::vector<Tensor> gradients;
  size_t announced = 0;
  for (const Recompute how : {Recompute::none, Recompute::inputs, Recompute::full}) {
    Model m(config);
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
  const auto caches = m.lm->make_caches(2, 20);
  for (int64_t begin = 0, step = 7; begin < 20; begin += step, step = 1) {
    const int64_t n = std::min<int64_t>(begin ? 1 : 7, 20 - begin);
    const Tensor part = m.lm->hidden_cached(contiguous(ids.narrow(1, begin, n)), caches,
                                            CacheRows({1}, {int32_t(begin)}, n, Device::cpu));
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
  EXPECT_ERROR(m.lm->hidden_cached(zeros({1, 1}, DType::i32), m.lm->make_caches(1, 40),
                                   CacheRows({0}, {32}, 1, Device::cpu)),
               Exit::usage, "33");
}

std::vector<std::vector<int32_t>> ragged_prompts() {
  std::vector<std::vector<int32_t>> prompts;
  for (const int64_t n : {5, 1, 17, 2, 30, 9, 3}) {
    const Tensor ids = test::integers({n}, 0, 53, uint64_t(n));
    prompts.emplace_back(ids.as<int32_t>(), ids.as<int32_t>() + n);
  }
  return prompts;
}

void expect_same(const Generated& a, const Generated& b, const std::string& what) {
  EXPECT_EQ(a.tokens, b.tokens) << what;
  EXPECT_EQ(a.log_probabilities, b.log_probabilities) << what;
  EXPECT_EQ(a.ending, b.ending) << what;
}

// Prompts of different lengths, rows that end early and make room for others, any number of threads: what a prompt
// becomes is what it becomes alone.
TEST_P(EveryModel, ABatchGivesTheBitsOfEachAlone) {
  const Model m(GetParam());
  const auto prompts = ragged_prompts();
  for (const Sampling& sampling : {Sampling{.temperature = 0}, Sampling{.temperature = 1.3, .seed = 4},
                                   Sampling{.top_k = 12, .top_p = 0.9, .repetition_penalty = 1.4, .seed = 5}}) {
    GenerationOptions options{.sampling = sampling, .max_tokens = 14, .end = 7, .log_probabilities = true};
    std::vector<Generated> alone;
    for (size_t i = 0; i < prompts.size(); ++i)
      alone.push_back(generate_batch(*m.lm, {&prompts[i], 1}, options, 100 + int64_t(i))[0]);
    for (const int64_t lines : {0, 1, 2, 3}) {
      options.lines = lines;
      ThreadPool own(1 + int(lines));
      const UsePool use(own);
      const auto together = generate_batch(*m.lm, prompts, options, 100);
      for (size_t i = 0; i < prompts.size(); ++i)
        expect_same(together[i], alone[i], say("prompt ", i, " among ", lines, " lines"));
    }
    EXPECT_EQ(alone[4].tokens.size() < 3 || alone[4].ending == Ending::end_token, true) << "30 of 32 positions";
  }
}

// Log-probabilities are those of the model over the whole sequence.
TEST_P(EveryModel, LogProbabilitiesAreThoseOfTheLogits) {
  const Model m(GetParam());
  const NoGrad no_grad;
  for (const double temperature : {0.0, 1.0, 0.7}) {
    const auto prompts = ragged_prompts();
    const auto made = generate_batch(*m.lm, prompts,
                                     {.sampling = {.temperature = temperature, .top_k = 20, .seed = 1},
                                      .max_tokens = 6,
                                      .log_probabilities = true});
    for (size_t i = 0; i < prompts.size(); ++i) {
      std::vector<int32_t> all = prompts[i];
      ASSERT_EQ(made[i].tokens.size(), made[i].log_probabilities.size());
      for (size_t t = 0; t < made[i].tokens.size(); ++t) {
        const Tensor logits = m.lm->logits(m.lm->hidden(from_values<int32_t>({1, int64_t(all.size())}, all), {}, {}));
        const float* last = logits.as<float>() + logits.numel() - 53;
        const double scale = temperature > 0 ? 1 / temperature : 1;
        double sum = 0;
        for (int v = 0; v < 53; ++v) sum += std::exp(scale * last[v]);
        EXPECT_NEAR(made[i].log_probabilities[t], scale * last[made[i].tokens[t]] - std::log(sum), 1e-5);
        all.push_back(made[i].tokens[t]);
      }
    }
  }
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

TEST(Generation, SaysWhyEachEnded) {
  const Model m(neox(false, 1.0, false, 0));
  const std::vector<std::vector<int32_t>> prompts{{1, 2, 3}, {4}, std::vector<int32_t>(30, 5), {6, 7}};
  GenerationOptions options{.sampling = {.temperature = 0}, .max_tokens = 10};
  const auto free = generate_batch(*m.lm, prompts, options);
  EXPECT_EQ(free[0].ending, Ending::most_tokens);
  EXPECT_EQ(free[2].ending, Ending::no_positions);
  EXPECT_EQ(free[2].tokens.size(), 2u);
  EXPECT_TRUE(free[0].log_probabilities.empty());
  options.end = free[0].tokens[3];
  size_t seen = 0;
  const auto ended = generate_batch(*m.lm, prompts, options, 0, [&](size_t prompt, int32_t) {
    seen += prompt == 3;
    return prompt != 3 || seen < 2;
  });
  EXPECT_EQ(ended[0].ending, Ending::end_token);
  EXPECT_EQ(ended[0].tokens.back(), options.end);
  EXPECT_TRUE(ended[3].ending == Ending::end_token || (ended[3].ending == Ending::stopped && seen == 2)) << seen;
  EXPECT_TRUE(generate_batch(*m.lm, {}, options).empty());
  EXPECT_TRUE(generate_batch(*m.lm, prompts, {.max_tokens = 0})[1].tokens.empty());
}

// Samples of one prompt differ by their numbers alone, and go on where an earlier batch stopped.
TEST(Generation, RandomnessIsThatOfTheSample) {
  const Model m(neox(true, 0.25, true, 0));
  const std::vector<std::vector<int32_t>> four(4, {1, 2, 3}), two(2, {1, 2, 3});
  const GenerationOptions options{.sampling = {.seed = 9}, .max_tokens = 12};
  const auto all = generate_batch(*m.lm, four, options), rest = generate_batch(*m.lm, two, options, 2);
  EXPECT_NE(all[0].tokens, all[1].tokens);
  EXPECT_EQ(all[2].tokens, rest[0].tokens);
  EXPECT_EQ(all[3].tokens, rest[1].tokens);
  EXPECT_EQ(all[0].tokens, generate(*m.lm, four[0], options));
}

// Text that is fed in parts, after a cut or not, leads to the tokens of the whole.
TEST(TokenLines, GoOnWhereTheyAreCut) {
  const Model m(gpt2(0, true));
  const std::vector<int32_t> ids{1, 2, 3, 4, 5, 6, 7, 8}, other{9, 9, 9};
  const Sampling sampling{.repetition_penalty = 1.5, .seed = 2};
  TokenLines whole(*m.lm, sampling, 1, 20), parts(*m.lm, sampling, 3, 20);
  const auto grow = [](TokenLines& lines, int32_t line, std::span<const int32_t> tokens) {
    const TokenLines::Growth one{line, tokens, 5};
    return lines.grow({&one, 1}, true)[0];
  };
  const auto expected = grow(whole, 0, ids);
  grow(parts, 2, std::span(ids).first(3));
  grow(parts, 2, other);
  parts.cut(2, 3);
  const auto got = grow(parts, 2, std::span(ids).subspan(3));
  EXPECT_EQ(got.token, expected.token);
  EXPECT_EQ(got.log_probability, expected.log_probability);
  EXPECT_EQ(parts.length(2), 8);
  // Lines of other lengths that grow by other lengths, in one call.
  const TokenLines::Growth mixed[] = {{0, ids, 5}, {2, other, 1}};
  EXPECT_EQ(parts.grow(mixed)[0].token, expected.token);
  EXPECT_ERROR(grow(parts, 2, std::vector<int32_t>(10, 1)), Exit::failure, "10 tokens more for line 2 of 11");
  EXPECT_ERROR(parts.cut(2, 12), Exit::failure, "cannot be cut to 12");
}

TEST(TokenCost, IsThatOfTheMatrices) {
  const ModelConfig c = neox(false, 1, false, 0);
  // Two products of a multiply-add each way for every weight of a matrix but the embedding table.
  const double weights = 2 * (24 * 72 + 24 * 24 + 2 * 24 * 40) + 53 * 24;
  EXPECT_DOUBLE_EQ(token_cost(c, 32).products, 6 * weights);
  EXPECT_DOUBLE_EQ(token_cost(c, 32).attention, 3 * 2 * 4 * 32 * 24);
  EXPECT_DOUBLE_EQ(token_cost(c, 32, true, 0.25).products, 6 * (weights - 0.75 * 53 * 24));
}

// Between the forward and the backward pass: with a vocabulary so small that every MLP keeps its array, one more is held.
TEST_P(EveryModel, TheLastMlpKeepsNothing) {
  const auto kept = [&](int64_t vocabulary) {
    ModelConfig config = GetParam();
    config.gpt_neox.num_hidden_layers = config.gpt2.n_layer = 6;
    config.gpt_neox.vocab_size = config.gpt2.vocab_size = vocabulary;
    const Model m(config);
    const Tensor ids = test::integers({2, 16}, 0, 30, 1);
    m.lm->loss(ids, ids, {}, {.training = true});  // tables that are made once
    const auto before = int64_t(memory_use().live);
    const Tensor loss = m.lm->loss(ids, ids, {}, {.training = true});
    return int64_t(memory_use().live) - before;
  };
  ASSERT_EQ(mlps_made_again(6, 32, 40, 41, Device::cpu), 1);
  ASSERT_EQ(mlps_made_again(6, 32, 40, 39, Device::cpu), 0);
  EXPECT_EQ(kept(39) - kept(41), 32 * 40 * 4);
}

TEST(MlpsMadeAgain, MakeRoomForTheLogitsOnTheCpu) {
  EXPECT_EQ(mlps_made_again(12, 1024, 3072, 32000, Device::cpu), 2);  // 256 rows of logits are 2.6 inner arrays
  EXPECT_EQ(mlps_made_again(12, 1024, 3072, 32000, Device::cuda), 0);
  EXPECT_EQ(mlps_made_again(12, 4096, 3072, 32000, Device::cpu), 0) << "an array of which would be more than the logits";
  EXPECT_EQ(mlps_made_again(4, 2048, 1024, 8000, Device::cpu), 0) << "a sixth of the layers is none";
  EXPECT_EQ(mlps_made_again(12, 0, 3072, 32000, Device::cpu), 0);
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
}  // namespace hinoki::causal_lm_test
