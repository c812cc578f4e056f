// Adapters beside a frozen model: they begin at it, learn alone, resume and travel like any weights, and are merged in.
#include "models/lora.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/base/log.h"
#include "core/base/parallel.h"
#include "core/safetensors.h"
#include "models/peft.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"
#include "tests/support/ranks_run.h"
#include "tests/support/tiny_run.h"
#include "train/model_folder.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::lora_test {
namespace {

void use_gpt2(GptConfig& config) {
  config.model.architecture = "gpt2";
  Gpt2Config& m = config.model.gpt2;
  m.vocab_size = 384, m.n_positions = 64, m.n_embd = 32, m.n_layer = 2, m.n_head = 2, m.n_inner = 64;
}

using Training = Run;  // testing::Test has a Run of its own

// A model of some steps, and a run of adapters beside it.
struct Adapted {
  test::TinyRun tiny;
  std::string base;
  GptConfig config;

  explicit Adapted(bool gpt2 = false) {
    set_quiet(true);
    if (gpt2) use_gpt2(tiny.config);
    GptConfig first = tiny.in("base");
    first.train.steps = 20;
    Training run(first);
    while (run.steps_done() < 20) run.step();
    base = run.save();
    config = tiny.config;
    config.start_from = base;
    config.lora = {.rank = 8, .alpha = 16};
    config.train.steps = 60;
  }
  ~Adapted() { set_quiet(false); }

  Tensor ids() const {
    const Tensor ids = empty({2, 16}, DType::i32);
    for (int i = 0; i < 32; ++i) ids.as<int32_t>()[i] = 7 * i % 320;
    return ids;
  }
  // Of a folder that was opened anew.
  Tensor logits(const std::string& folder) const {
    const NoGrad no_grad;
    const LoadedModel m = load_model(folder);
    return m.model->logits(m.model->hidden(ids(), {}, {}));
  }
};

double largest_difference(const Tensor& x, const Tensor& y) {
  double most = 0;
  for (int64_t i = 0; i < x.numel(); ++i) most = std::max(most, std::abs(double(x.as<float>()[i]) - y.as<float>()[i]));
  return most;
}

std::vector<double> losses(Run& run, int64_t until) {
  std::vector<double> all;
  while (run.steps_done() < until) all.push_back(run.step().loss);
  return all;
}

class Lora : public testing::TestWithParam<bool> {};  // of GPT-2, or of GPT-NeoX
INSTANTIATE_TEST_SUITE_P(Models, Lora, testing::Bool(),
                         [](const auto& info) { return info.param ? "Gpt2" : "GptNeox"; });

TEST_P(Lora, BeginsAtTheBaseAndLearnsBesideIt) {
  const Adapted a(GetParam());
  GptConfig whole = a.tiny.in("whole");
  whole.start_from = a.base;
  Training run(a.config), other(whole);
  const double before = other.validate().loss;
  EXPECT_NEAR(run.validate().loss, before, 1e-5) << "the second halves of new adapters are zero";
  const LoadedModel base = load_model(a.base);
  losses(run, 60);
  EXPECT_LT(run.validate().loss, before - 0.1);
  EXPECT_LT(run.parameters().count(), base.parameters->count() / 3);
  for (const Parameter& p : run.parameters().all()) EXPECT_NE(p.name.find(".lora_"), std::string::npos) << p.name;
  ASSERT_EQ(run.parameters().frozen().size(), base.parameters->all().size());
  for (const Parameter& p : run.parameters().frozen())
    EXPECT_TRUE(test::same_bits(p.value, base.parameters->find(p.name).value)) << p.name;
}

TEST_P(Lora, MergedWeightsComputeWhatAdaptersDo) {
  const Adapted a(GetParam());
  Training run(a.config);
  losses(run, 6);
  const std::string snapshot = run.save();
  GptConfig merged = a.tiny.in("merged");
  merged.start_from = snapshot;
  EXPECT_NEAR(Training(merged).validate().loss, run.validate().loss, 1e-5);
  const Tensor base = a.logits(a.base), adapted = a.logits(snapshot);
  EXPECT_GT(largest_difference(base, adapted), 0.05);

  Parameters parameters(DType::f32, Device::cpu, frozen_base(a.base, a.config.lora, Device::cpu, DType::f32));
  const auto model = make_model(a.config.model, parameters);
  parameters.allocate();
  WeightSource(snapshot, {.stem = kAdapterStem, .prefix = kAdapterPrefix}).fill(parameters);
  const auto logits = [&] { return model->logits(model->hidden(a.ids(), {}, {})).detach(); };
  EXPECT_LT(largest_difference(logits(), adapted), 2e-5);
  const WithoutAdapters base_alone;
  EXPECT_LT(largest_difference(logits(), base), 2e-5);
}

// Not bit by bit: of a tensor that is read twice, the second gradient is added by another instruction then.
TEST_P(Lora, RecomputeComputesTheSame) {
  const Adapted a(GetParam());
  const auto with = [&](Recompute recompute) {
    GptConfig config = a.config;
    config.train.recompute = recompute;
    Training run(config);
    return losses(run, 5);
  };
  const std::vector<double> none = with(Recompute::none);
  for (const Recompute recompute : {Recompute::inputs, Recompute::full}) {
    const std::vector<double> same = with(recompute);
    for (size_t i = 0; i < none.size(); ++i) EXPECT_NEAR(same[i], none[i], 1e-6 * none[i]) << i;
  }
}

TEST(LoraRun, ResumesBitForBitOnAnyNumberOfRanks) {
  const Adapted a;
  GptConfig config = a.config;
  config.train.reduction_slots = 2;
  const auto in = [&](const char* folder) {
    GptConfig c = config;
    c.run = (a.tiny.folder / folder).string();
    return c;
  };
  const test::Bits whole = test::train(in("one"), {}, 10);
  EXPECT_TRUE(test::train(in("two"), {.ranks = 2}, 10) == whole);
  EXPECT_TRUE(test::train(in("zero"), {.ranks = 2, .threads = 2, .zero = 1}, 10) == whole);
  test::train(in("stopped"), {.ranks = 2}, 4, true);
  const test::Bits rest = test::train(in("stopped"), {}, 10);
  EXPECT_TRUE(rest.weights == whole.weights && rest.moments == whole.moments);
}

TEST(LoraRun, AnotherBaseOrOtherAdaptersAreRefused) {
  const Adapted a;
  const std::string snapshot = [&] {
    Training run(a.config);
    run.step();
    return run.save();
  }();
  const Adapted other;
  GptConfig config = a.config;
  config.start_from = other.base;
  std::ofstream(other.base + "/touched") << "x";
  {
    // The same weights under another path are the same base.
    Training run(config);
    run.resume(snapshot);
    EXPECT_EQ(run.steps_done(), 1);
  }
  GptConfig more = other.tiny.in("more");
  more.train.steps = 5;
  more.train.seed = 3;
  Training further(more);
  further.step();
  config.start_from = further.save();
  Training wrong(config);
  EXPECT_ERROR(wrong.resume(snapshot), Exit::snapshot, "belong to a base of hash");
  config = a.config;
  config.lora.rank = 4;
  Training wider(config);
  EXPECT_ERROR(wider.resume(snapshot), Exit::snapshot, "other adapters");
  config = a.config;
  config.lora.targets = {"query_key_value", "qurey"};
  EXPECT_ERROR(Training{config}, Exit::usage, "\"qurey\"");
  config.lora.targets = {"query_key_value"};
  EXPECT_EQ(Training(config).parameters().all().size(), 4u) << "two layers, A and B";
  config.start_from = snapshot;
  EXPECT_ERROR(Training{config}, Exit::usage, "holds adapters itself");
  {
    std::fstream weights(other.base + "/model.safetensors", std::ios::in | std::ios::out);
    weights.seekp(-4, std::ios::end) << std::string("\0\0\xc0\x7f", 4);  // not a number
  }
  config.start_from = other.base;
  EXPECT_ERROR(Training{config}, Exit::numerical, "not finite is the weights of");
  config.start_from = "";
  EXPECT_ERROR(Training{config}, Exit::usage, "name its folder in start_from");
}

TEST(LoraFolder, WhatWouldBeComputedDifferentlyIsRefused) {
  const Adapted a;
  Training run(a.config);
  run.step();
  const std::string snapshot = run.save(), copy = (a.tiny.folder / "copy").string();
  const Json good = parse_json(read_file(snapshot + "/adapter_config.json", 1 << 20), "adapter_config.json");
  EXPECT_EQ(good["target_modules"], Json({"dense", "dense_4h_to_h", "dense_h_to_4h", "query_key_value"}));
  const auto with = [&](const char* key, const Json& value) {
    std::filesystem::remove_all(copy);
    std::filesystem::copy(snapshot, copy, std::filesystem::copy_options::recursive);
    Json changed = good;
    changed[key] = value;
    std::ofstream(copy + "/adapter_config.json") << changed.dump();
    return copy;
  };
  EXPECT_ERROR(load_model(with("peft_type", "IA3")), Exit::data, "peft_type");
  EXPECT_ERROR(load_model(with("use_dora", true)), Exit::data, "use_dora");
  EXPECT_ERROR(load_model(with("rank_pattern", {{"dense", 2}})), Exit::data, "rank_pattern");
  EXPECT_ERROR(load_model(with("modules_to_save", {"embed_out"})), Exit::data, "modules_to_save");
  EXPECT_ERROR(load_model(with("base_model_name_or_path", "nobody/nothing")), Exit::data, "no folder of a model here");
  EXPECT_ERROR(load_model(with("r", nullptr)), Exit::data, "\"r\" is missing");
  // alpha / sqrt(r) instead of alpha / r, and a base beside the adapters.
  EXPECT_GT(largest_difference(a.logits(with("use_rslora", true)), a.logits(snapshot)), 0.0);
  std::filesystem::create_directory_symlink(a.base,
                                            (std::filesystem::path(with("lora_dropout", 0.1)) / "base").string());
  Json beside = good;
  beside["base_model_name_or_path"] = "base";
  std::ofstream(copy + "/adapter_config.json") << beside.dump();
  EXPECT_EQ(largest_difference(a.logits(copy), a.logits(snapshot)), 0.0);
}

}  // namespace
}  // namespace hinoki::lora_test
