// What the configs of recipes that learn from preferences say of their data, and the configs themselves.
#pragma once
#include "train/sft_config.h"

namespace hinoki {

constexpr auto enum_names(DpoLoss) { return std::array{"sigmoid", "hinge", "ipo"}; }

struct PreferenceConfig : RunConfig {
  ModelConfig model;
  ChatDataConfig data;  // that `hinoki data preferences` made; a row holds whole pairs

  PreferenceConfig() { optimizer.weight_decay = 0; }
  void check() const {
    RunConfig::check();
    require<Exit::usage>(data.sequence <= model.max_positions(), "data.sequence ", data.sequence,
                         " is longer than the model's ", model.max_positions(), " positions");
    require<Exit::usage>(!model.is_gpt2(),
                         "model: GPT-2 counts positions from the beginning of a row, which two answers share; only "
                         "gpt_neox learns from preferences");
  }
  int64_t step_tokens() const { return step_rows() * data.sequence; }
};

// Recipe "reward". Without [model] the model is that of start_from.
struct RewardConfig : PreferenceConfig {
  double centring = 0.01;  // of the square of a pair's sum of rewards, which keeps them around zero; 0: off

  RewardConfig() {
    recipe = "reward";
    run = "runs/reward";
    learning_rate = {.peak = 1e-5, .floor = 0, .warmup = 20, .decay = Decay::cosine};
  }
  template <class Visitor>
  void fields(Visitor& v) {
    visit_place(v);
    v("model", model);
    v("data", data, required);
    v("centring", centring, Range{0});
    visit_training(v);
  }
};

// Recipe "dpo".
struct DpoConfig : PreferenceConfig {
  double beta = 0.1;  // how dear it is to leave the reference
  DpoLoss loss = DpoLoss::sigmoid;
  double smoothing = 0;  // the share of pairs whose order is thought to be wrong

  DpoConfig() {
    recipe = "dpo";
    run = "runs/dpo";
    learning_rate = {.peak = 1e-6, .floor = 0, .warmup = 20, .decay = Decay::cosine};
  }
  template <class Visitor>
  void fields(Visitor& v) {
    visit_place(v);
    v("model", model);
    v("lora", lora);
    v("data", data, required);
    v("beta", beta, Range{1e-6, 1e6});
    v("loss", loss);
    v("smoothing", smoothing, Range{0, 0.5});
    visit_training(v);
  }
  void check() const {
    PreferenceConfig::check();
    require<Exit::usage>(!start_from.empty(),
                         "start_from: name the model that learned to answer (recipe \"sft\"); it is the reference, too");
    require<Exit::usage>(smoothing == 0 || loss == DpoLoss::sigmoid, "smoothing ", smoothing,
                         " is for loss = \"sigmoid\" alone");
  }
};

}  // namespace hinoki
