// The config of recipe "gpt": what configs/*.toml may say. Every field has a default that suits the tiny models.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/run_config.h"

namespace hinoki {

// One prepared corpus (`hinoki data text`) and its share of the training sequences.
struct CorpusConfig {
  std::string path;
  double weight = 1;
  bool validate = true;  // its validation split counts, by the same weight

  template <class Visitor>
  void fields(Visitor& v) {
    v("path", path, required);
    v("weight", weight, Range{0});
    v("validate", validate);
  }
};

struct DataConfig {
  std::vector<CorpusConfig> corpora;
  std::string tokenizer;         // spiece.model, or a folder that holds one
  int64_t sequence = 256;        // tokens a sequence
  bool reset_attention = false;  // at document borders: no token sees the documents before its own

  template <class Visitor>
  void fields(Visitor& v) {
    v("corpora", corpora, required);
    v("tokenizer", tokenizer, required);
    v("sequence", sequence, Range{1, 1 << 20});
    v("reset_attention", reset_attention);
  }
};

struct SampleConfig {  // texts that show what was learned, every log.sample_every steps
  std::vector<std::string> prompts = {"吾輩は猫である。"};
  int64_t tokens = 64;  // 0: no samples

  template <class Visitor>
  void fields(Visitor& v) {
    v("prompts", prompts);
    v("tokens", tokens, Range{0});
  }
};

struct GptConfig : RunConfig {
  ModelConfig model;
  DataConfig data;
  SampleConfig samples;

  GptConfig() {
    recipe = "gpt";
    run = "runs/gpt";
  }
  template <class Visitor>
  void fields(Visitor& v) {
    visit_place(v);
    v("model", model);
    v("lora", lora);
    v("data", data, required);
    visit_training(v);
    v("samples", samples);
  }
  void check() const {
    RunConfig::check();
    require<Exit::usage>(data.sequence <= model.max_positions(), "data.sequence ", data.sequence,
                         " is longer than the model's ", model.max_positions(), " positions");
    require<Exit::usage>(!data.corpora.empty(), "data.corpora is empty");
    for (size_t k = 0; k < data.corpora.size(); ++k)  // each has figures under its own name
      for (size_t j = 0; j < k; ++j)
        require<Exit::usage>(data.corpora[j].path != data.corpora[k].path, "data.corpora names \"",
                             data.corpora[k].path, "\" twice; give it once, with the sum of the weights");
    require<Exit::usage>(
        std::any_of(data.corpora.begin(), data.corpora.end(), [](const auto& c) { return c.validate; }),
        "no corpus is left to validate; data.corpora.K.validate must be true for one of them");
    require<Exit::usage>(double(train.steps) * double(step_tokens()) < 1e18, "train.steps ", train.steps, " of ",
                         step_tokens(), " tokens are more than can be counted");
  }
  int64_t step_tokens() const { return step_rows() * data.sequence; }
};

}  // namespace hinoki
