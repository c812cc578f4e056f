// The config of recipe "sft": what configs/sft_*.toml may say. Without [model] the model is that of start_from.
#pragma once
#include "data/chat_rows.h"
#include "train/gpt_config.h"

namespace hinoki {

constexpr auto enum_names(Overlong) { return std::array{"refuse", "drop", "truncate"}; }

struct ChatDataConfig {
  std::string path = {};                 // the folder that `hinoki data chat` made
  int64_t sequence = 256;                // tokens a row
  bool packed = true;                    // several conversations share a row, and do not see each other
  Overlong overlong = Overlong::refuse;  // conversations longer than a row

  template <class Visitor>
  void fields(Visitor& v) {
    v("path", path, required);
    v("sequence", sequence, Range{2, 1 << 20});
    v("packed", packed);
    v("overlong", overlong);
  }
  ChatRowRules rules() const { return {.length = sequence, .packed = packed, .overlong = overlong}; }
};

struct SftConfig : RunConfig {
  ModelConfig model;
  ChatDataConfig data;
  SampleConfig samples;  // questions

  SftConfig() {
    recipe = "sft";
    run = "runs/sft";
    learning_rate = {.peak = 2e-5, .floor = 0, .warmup = 20, .decay = Decay::cosine};
    optimizer.weight_decay = 0;
    samples.prompts = {"日本で一番高い山は何ですか。"};
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
    require<Exit::usage>(
        !data.packed || !model.is_gpt2(),
        "data.packed: GPT-2 counts positions from the beginning of a row, so conversations cannot share "
        "one; set data.packed = false");
  }
  int64_t step_tokens() const { return step_rows() * data.sequence; }
};

}  // namespace hinoki
