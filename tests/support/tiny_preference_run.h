// Runs of recipes "reward" and "dpo" small enough for unit tests: of two answers the polite one is the chosen one.
#pragma once
#include "tests/support/tiny_chat_run.h"
#include "train/dpo_task.h"
#include "train/reward_task.h"
#include "train/run.h"

namespace hinoki::test {

struct TinyPreferenceRun {
  TinyChatRun chat;
  std::string base;  // a model that has learned the answers a little

  explicit TinyPreferenceRun(int64_t sft_steps = 6) {
    std::string lines;
    for (uint64_t i = 0; i < 300; ++i) {
      const auto [question, plain] = toy_question(i);
      const std::string polite = plain.substr(0, plain.rfind("だ。")) + "です。";
      lines += say("{\"prompt\": \"", question, "\", \"chosen\": \"", polite, "\", \"rejected\": \"", plain, "\"}\n");
    }
    chat.base.folder.write("preferences.jsonl", lines);
    std::filesystem::create_directories(chat.base.folder / "preferences");
    prepare_chat(Tokenizer::load(chat.base.config.data.tokenizer), {.inputs = {chat.base.folder / "preferences.jsonl"},
                                                                    .output = chat.base.folder / "preferences",
                                                                    .kind = ChatSource::Kind::preferences,
                                                                    .validation_fraction = 0.3});
    chat.config.model.gpt_neox.max_position_embeddings = 128;
    SftConfig sft = chat.config;
    sft.train.steps = sft_steps;
    Run run(sft);
    while (run.steps_done() < sft_steps) run.step();
    base = run.save();
  }
  RewardConfig reward(const std::string& name = "reward") const {
    RewardConfig c;
    c.centring = 0.01;
    return fill(std::move(c), name);
  }
  DpoConfig dpo(const std::string& name = "dpo") const {
    DpoConfig c;
    c.beta = 0.5;
    return fill(std::move(c), name);
  }

 private:
  template <class Config>
  Config fill(Config c, const std::string& name) const {
    c.model = chat.config.model;
    c.model.gpt_neox.hidden_dropout = c.model.gpt_neox.attention_dropout = 0.05;
    c.data = {.path = (chat.base.folder / "preferences").string(), .sequence = 128};
    c.train = {.steps = 20, .batch = 2, .micro_batches = 2, .seed = 11};
    c.learning_rate = {.peak = 1e-2, .warmup = 3};
    c.run = (chat.base.folder / name).string();
    c.start_from = base;
    return c;
  }
};

}  // namespace hinoki::test
