// A run of recipe "sft" small enough for unit tests: questions of a toy kind with answers that follow from them.
#pragma once
#include "data/chat_prepare.h"
#include "tests/support/tiny_run.h"
#include "train/sft_task.h"

namespace hinoki::test {

// A question about two words of TinyRun's sentences, and the one answer that is right.
inline std::pair<std::string, std::string> toy_question(uint64_t n) {
  const char* who[] = {"猫", "犬", "先生", "私", "彼女"};
  const char* what[] = {"本", "水", "コマンド", "ファイル", "空"};
  const Random4 r = philox({.seed = 4}, n);
  return {std::string(who[r[0] % 5]) + "は" + what[r[1] % 5] + "を見る。", std::string(what[r[1] % 5]) + "が好きだ。"};
}

struct TinyChatRun {
  TinyRun base;
  SftConfig config;  // of 20 steps, with dropout and accumulation on

  TinyChatRun() {
    std::string lines;
    for (uint64_t i = 0; i < 200; ++i) {
      const auto [question, answer] = toy_question(i);
      lines += say("{\"prompt\": \"", question, i % 3 ? "" : question, "\", \"completion\": \"", answer, "\"}\n");
    }
    base.folder.write("chat.jsonl", lines);
    std::filesystem::create_directories(base.folder / "chat");
    prepare_chat(Tokenizer::load(base.config.data.tokenizer),
                 {.inputs = {base.folder / "chat.jsonl"}, .output = base.folder / "chat", .validation_fraction = 0.3});
    config.model = base.config.model;
    config.data = {.path = (base.folder / "chat").string(), .sequence = 64};
    config.train = {.steps = 20, .batch = 2, .micro_batches = 2, .seed = 11};
    config.learning_rate = {.peak = 1e-2, .warmup = 3};
    config.samples = {.prompts = {"猫は本を見る。"}, .tokens = 8};
    config.run = (base.folder / "sft").string();
  }
  SftConfig in(const std::string& run) const {
    SftConfig other = config;
    other.run = (base.folder / run).string();
    return other;
  }
};

}  // namespace hinoki::test
