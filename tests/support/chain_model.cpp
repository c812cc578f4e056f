#include "tests/support/chain_model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/safetensors_writer.h"
#include "models/hugging_face.h"

namespace hinoki::test {

// Rows of the identity as embeddings; the output's row of each token is the embedding of its predecessor.
ChainModel::ChainModel(int64_t n, const std::vector<int32_t>& chain, int64_t positions) {
  config.gpt_neox = {.vocab_size = n,
                     .hidden_size = n,
                     .num_hidden_layers = 0,
                     .num_attention_heads = 1,
                     .intermediate_size = 1,
                     .max_position_embeddings = positions,
                     .rotary_pct = 0};
  std::map<int32_t, int32_t> next;
  for (size_t i = 0; i + 1 < chain.size(); ++i) next[chain[i]] = chain[i + 1];
  const Tensor in = zeros({n, n}, DType::f32), out = zeros({n, n}, DType::f32), ones = zeros({n}, DType::f32);
  for (int64_t i = 0; i < n; ++i) in.as<float>()[i * n + i] = ones.as<float>()[i] = 1;
  for (const auto& [from, to] : next) out.as<float>()[to * n + from] = 1;
  weights = {{"gpt_neox.embed_in.weight", in},
             {"embed_out.weight", out},
             {"gpt_neox.final_layer_norm.weight", ones},
             {"gpt_neox.final_layer_norm.bias", zeros({n}, DType::f32)}};
}

void ChainModel::give_to(const Parameters& parameters) const {
  for (const Parameter& p : parameters.all()) {
    const Tensor& from = weights.at(p.name);
    ASSERT_EQ(p.value.shape(), from.shape()) << p.name;
    std::memcpy(p.value.data(), from.data(), size_t(p.size()) * sizeof(float));
  }
}

std::string ChainModel::write(const std::string& folder, const std::string& spiece) const {
  std::filesystem::create_directory(folder);
  HuggingFaceConfig all;
  all.model = config;
  all.ids.eos = Tokenizer::load(spiece).eos();
  std::ofstream(folder + "/config.json") << print_hugging_face_config(all, DType::f32);
  std::filesystem::copy_file(spiece, folder + "/spiece.model");
  std::vector<TensorSpec> specs;
  for (const auto& [name, tensor] : weights) specs.push_back({name, DType::f32, tensor.shape()});
  auto writer = SafetensorsWriter::create(folder, SafetensorsLayout(specs));
  for (const auto& [name, tensor] : weights)
    writer.write(name, std::as_bytes(std::span(tensor.as<float>(), size_t(tensor.numel()))));
  writer.finish();
  return folder;
}

std::vector<int32_t> byte_ids(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> of_byte(256, -1), ids;
  for (int32_t id = 0; id < tokenizer.size(); ++id)
    if (tokenizer.byte_value(id) >= 0) of_byte[size_t(tokenizer.byte_value(id))] = id;
  for (const unsigned char c : text) ids.push_back(of_byte[c]);
  return ids;
}

}  // namespace hinoki::test
