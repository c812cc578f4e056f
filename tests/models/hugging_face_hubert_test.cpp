// Folders of HuBERT: what is read, in either spelling, and what is refused by name.
#include "models/hugging_face_hubert.h"

#include <gtest/gtest.h>

#include "core/base/json.h"
#include "tests/models/tiny_hubert_folder.h"
#include "tests/support/expect_error.h"

namespace hinoki::hugging_face_hubert_test {
namespace {

using Folder = test::TinyHubertFolder;

Tensor hear(const LoadedHubert& m) {
  const NoGrad no_grad;
  return m.hubert().forward({.samples = test::sound({2, 83}, 4)}, {}).hidden;
}

TEST(HubertFolders, AreReadAsTheyWereWritten) {
  for (const bool large : {false, true}) {
    const Folder folder(large, large);
    const HubertFolder read = read_hubert_config(folder.path());
    EXPECT_EQ(print_hubert_config(read, DType::f32), print_hubert_config(folder.config(), DType::f32));
    EXPECT_EQ(read.vocabulary, large ? 9 : 0);
    EXPECT_EQ(read.normalize, large);
    EXPECT_EQ(read_model_type(folder.path()), "hubert");
    const Json processor = Json::parse(print_preprocessor_config(read));
    EXPECT_EQ(processor["return_attention_mask"], large);
    EXPECT_EQ(processor["sampling_rate"], 16000);
  }
}

TEST(HubertFolders, AbsentKeysHaveTheDefaultsOfTransformers) {
  const TemporaryFolder folder;
  folder.write("config.json", "{\"model_type\": \"hubert\"}");
  const HubertFolder read = read_hubert_config(folder.path());
  EXPECT_EQ(print_hubert_config(read, DType::f32), print_hubert_config(HubertFolder(), DType::f32));
  EXPECT_EQ(read.model.hidden_size, 768);
  EXPECT_EQ(read.ids.eos, 2);
}

TEST(HubertFolders, BothSpellingsOfTheWeightNormAreRead) {
  for (const bool ctc : {false, true}) {
    Folder folder(ctc);
    const Tensor before = hear(load_hubert(folder.path()));
    const std::string conv = std::string(ctc ? "hubert." : "") + "encoder.pos_conv_embed.conv.";
    folder.rename(conv + "weight_g", conv + "parametrizations.weight.original0");
    folder.rename(conv + "weight_v", conv + "parametrizations.weight.original1");
    folder.write_weights();
    EXPECT_TRUE(test::same_bits(before, hear(load_hubert(folder.path()))));
  }
}

TEST(HubertFolders, WhatIsMissingOrTooMuchIsNamed) {
  Folder folder(true);
  const std::string name = "hubert.encoder.layers.1.attention.q_proj.bias";
  const Tensor kept = folder.weights().at(name);
  folder.weights().erase(name);
  folder.write_weights();
  EXPECT_ERROR(load_hubert(folder.path()), Exit::data, "the weights lack " + name);
  folder.weights()[name] = zeros({11}, DType::f32);
  folder.write_weights();
  EXPECT_ERROR(load_hubert(folder.path()), Exit::data, name + " is [11], config.json asks for [12]");
  folder.weights()[name] = kept;
  folder.weights()["quantizer.weight"] = kept;
  folder.write_weights();
  EXPECT_ERROR(load_hubert(folder.path()), Exit::data, "hold quantizer.weight, which this model does not have");
}

TEST(HubertFolders, APretrainedModelLearnsToSpell) {
  Folder folder(false);
  Parameters parameters(DType::f32);
  const HubertForCtc model(folder.config().model, 5, Scope(parameters));
  parameters.allocate();
  parameters.initialize(77);
  const auto head = test::values(parameters.find("lm_head.weight").value);
  EXPECT_ERROR(WeightSource(folder.path()).fill(parameters), Exit::data, "lack lm_head.weight");
  fill_from_hubert(folder.path(), parameters);
  EXPECT_EQ(test::values(parameters.find("lm_head.weight").value), head);
  for (const auto& [name, value] : folder.weights())
    EXPECT_EQ(test::values(parameters.find("hubert." + name).value), test::values(value)) << name;

  test::PretrainedHubert pretraining(folder.config().model);
  const auto clusters = test::values(pretraining.parameters.find("label_embeddings").value);
  fill_from_hubert(folder.path(), pretraining.parameters);
  EXPECT_EQ(test::values(pretraining.parameters.find("label_embeddings").value), clusters);
  folder.weights().erase("masked_spec_embed");
  folder.write_weights();
  EXPECT_ERROR(fill_from_hubert(folder.path(), parameters), Exit::data, "lack hubert.masked_spec_embed");
}

TEST(HubertFolders, WhatIsComputedInOneWayOnlyIsRefused) {
  Folder folder(true);
  const auto refused = [&](const char* key, const Json& value, const std::string& part) {
    Json json = Json::parse(print_hubert_config(folder.config(), DType::f32));
    json[key] = value;
    folder.write_config(json.dump());
    EXPECT_ERROR(read_hubert_config(folder.path()), Exit::data, part);
  };
  refused("conv_pos_batch_norm", true, "conv_pos_batch_norm");
  refused("adapter_attn_dim", 16, "adapter_attn_dim");
  refused("add_adapter", true, "add_adapter");
  refused("architectures", Json::array({"HubertForSequenceClassification"}), "HubertForSequenceClassification");
  refused("model_type", "wav2vec2", "wav2vec2");
  refused("num_feat_extract_layers", 4, "num_feat_extract_layers");
  refused("conv_dim", 512, "conv_dim");
  refused("conv_dim", Json::array({4, "x", 6}), "conv_dim");
  refused("conv_stride", Json::array({3, 2, -1}), "conv_stride");
  refused("conv_kernel", Json::array({3, 2}), "the same ones");
  refused("hidden_size", 13, "hidden_size 13");
  refused("feat_extract_norm", "batch", "feat_extract_norm");
  refused("vocab_size", 0, "vocab_size");
}

}  // namespace
}  // namespace hinoki::hugging_face_hubert_test
