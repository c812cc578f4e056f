// 16-bit weights stay as they are stored: to generate takes the memory of the file and little more, so that a model is
// usable on any machine on which its file is.
#include <gtest/gtest.h>

#include <fstream>

#include "core/safetensors_writer.h"
#include "models/hugging_face.h"
#include "tests/end_to_end/program.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::stored_weights_test {
namespace {

// A folder as transformers writes it, every tensor in 16 bits: a random GPT-NeoX of 54 million parameters.
void write_model(const std::string& folder, DType dtype) {
  HuggingFaceConfig config;
  config.model.gpt_neox = {.vocab_size = 2000,
                           .hidden_size = 1024,
                           .num_hidden_layers = 4,
                           .num_attention_heads = 8,
                           .intermediate_size = 4096,
                           .max_position_embeddings = 64};
  std::vector<TensorSpec> specs;
  Parameters parameters([&](const std::string& name, const Shape& shape) {
    specs.push_back({name, dtype, shape});
    return empty(shape, dtype);
  });
  make_model(config.model, parameters);
  std::ofstream(folder + "/config.json") << print_hugging_face_config(config, dtype);
  auto writer = SafetensorsWriter::create(folder, SafetensorsLayout(specs));
  // Numbers from 2^-7 up to 2^-6 with any sign.
  const uint16_t fraction = dtype == DType::bf16 ? 0x807f : 0x83ff, exponent = dtype == DType::bf16 ? 0x3c00 : 0x2000;
  for (const TensorSpec& spec : specs) {
    std::vector<uint16_t> bits(size_t(spec.shape.numel()));
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = uint16_t((i * 2654435761u >> 16 & fraction) | exponent);
    writer.write(spec.name, std::as_bytes(std::span(bits)));
  }
  writer.finish();
}

class StoredWeights : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(All, StoredWeights, testing::Values(DType::f16, DType::bf16),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(StoredWeights, AreNotCopiedToGenerate) {
  const TemporaryFolder folder;
  write_model(folder.path().string(), GetParam());
  const auto file = int64_t(std::filesystem::file_size(folder / "model.safetensors"));
  EXPECT_GT(file, 100'000'000) << "small enough for copies to go unseen";
  const test::Outcome outcome = test::expect_outcome(
      0, {}, {"generate", folder.path().string(), "--ids", "5 6 7", "--max-tokens", "4", "--output-ids"});
  EXPECT_NE(outcome.out, "");
#ifndef __SANITIZE_ADDRESS__  // a sanitizer takes memory of its own
  EXPECT_LT(outcome.peak_memory, file + (100 << 20));
#endif
}

}  // namespace
}  // namespace hinoki::stored_weights_test
