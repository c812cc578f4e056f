// Generation on a CUDA device (or its emulator): the CPU's tokens, and of each of them only the id leaves the device.
#include "models/generation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/watched_device.h"

namespace hinoki::generation_test {
namespace {

constexpr int64_t kVocabulary = 2100, kTokens = 12;

struct Model {
  Parameters parameters;
  std::unique_ptr<CausalLm> lm;

  explicit Model(Device device, DType dtype = DType::f32) : parameters(dtype, device) {
    ModelConfig c;
    c.gpt_neox = {.vocab_size = kVocabulary,
                  .hidden_size = 32,
                  .num_hidden_layers = 2,
                  .num_attention_heads = 2,
                  .intermediate_size = 48,
                  .max_position_embeddings = 32};
    lm = make_model(c, parameters);
    parameters.allocate();
    parameters.initialize(3);
  }
  std::vector<int32_t> operator()(const Sampling& sampling, int64_t usable = 0) const {
    return generate(*lm, {1, 2, 3}, {.sampling = sampling, .max_tokens = kTokens, .usable_vocab = usable});
  }
};

class CudaTokens : public testing::TestWithParam<Sampling> {};

TEST_P(CudaTokens, ChoosesTheTokensOfTheCpu) {
  if (!has_device(Device::cuda)) return;
  const Model cpu(Device::cpu), cuda(Device::cuda);
  Sampling sampling = GetParam();
  const auto once = cuda(sampling);
  EXPECT_EQ(once.size(), size_t(kTokens));
  EXPECT_EQ(once, cpu(sampling));
  EXPECT_EQ(once, cuda(sampling)) << "the same again";
  sampling.seed = 2;
  EXPECT_EQ(once == cuda(sampling), sampling.temperature == 0) << "another seed draws others";
  for (const int32_t id : cuda(sampling, 50)) EXPECT_TRUE(0 <= id && id < 50) << id << " is padding";
  const Model bf16(Device::cuda, DType::bf16);
  const auto rough = bf16(sampling);
  EXPECT_EQ(rough, bf16(sampling));
  for (const int32_t id : rough) EXPECT_TRUE(0 <= id && id < kVocabulary) << id;
}

INSTANTIATE_TEST_SUITE_P(Choices, CudaTokens,
                         testing::Values(Sampling{.temperature = 0}, Sampling{.seed = 1},
                                         Sampling{.temperature = 0, .repetition_penalty = 3},
                                         Sampling{.temperature = 0.8, .top_p = 0.95, .seed = 1},
                                         Sampling{.top_k = 40, .repetition_penalty = 1.2, .seed = 1}),
                         [](const auto& info) { return std::to_string(info.index); });

TEST(CudaGeneration, LeavesTheLogitsOnTheDevice) {
  if (!has_device(Device::cuda)) return;
  const Model model(Device::cuda);
  const Sampling sampling{.temperature = 0.8, .top_k = 40, .seed = 1};
  const auto before = model(sampling);  // what kernels report is set up by now
  const test::WatchedDevice watch;
  EXPECT_EQ(model(sampling), before);
  EXPECT_EQ(watch.bytes_out(), kTokens * sizeof(int32_t));
}

TEST(CudaGeneration, RefusesLogitsThatAreNotFinite) {
  if (!has_device(Device::cuda)) return;
  const Model model(Device::cuda);
  const Parameter& head = model.parameters.find("embed_out.weight");
  const Tensor values = to_device(head.value.detach(), Device::cpu);
  values.as<float>()[7 * 32] = NAN;
  copy_elements(values, head.value);
  EXPECT_ERROR(model({.temperature = 0}), Exit::numerical, "the logit of token 7 is not finite");
}

}  // namespace
}  // namespace hinoki::generation_test
