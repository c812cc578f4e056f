#include "train/dialogue.h"

#include <gtest/gtest.h>

#include "data/stop_text.h"
#include "models/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_run.h"

namespace hinoki::dialogue_test {
namespace {

TEST(StopText, HoldsBackWhatMayBeginAStop) {
  StopText stop({"", "abc", "xyz"});
  EXPECT_EQ(stop.add("1ab"), "1");
  EXPECT_EQ(stop.add("d"), "abd");
  EXPECT_EQ(stop.add("xy"), "");
  EXPECT_EQ(stop.add("z abc"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.add("more") + stop.finish(), "");
  StopText other({"abc"});
  EXPECT_EQ(other.add("ab"), "");
  EXPECT_EQ(other.finish(), "ab") << "no more text comes";
}

TEST(StopText, StopsBeforeTheFirstOfSeveral) {
  StopText stop({"late", "on"});
  EXPECT_EQ(stop.add("one late"), "");
  EXPECT_TRUE(stop.stopped());
}

struct Talk {
  test::TinyRun tiny;
  Tokenizer tokenizer = Tokenizer::load(tiny.folder / "spiece.model");
  Parameters parameters{DType::f32};
  std::unique_ptr<CausalLm> lm;
  std::atomic<bool> interrupted{false};

  explicit Talk(int64_t positions = 64) {
    ModelConfig c;
    c.gpt_neox = {.vocab_size = tokenizer.size(),
                  .hidden_size = 16,
                  .num_hidden_layers = 2,
                  .num_attention_heads = 2,
                  .intermediate_size = 24,
                  .max_position_embeddings = positions};
    lm = make_model(c, parameters);
    parameters.allocate();
    parameters.initialize(3);
  }
  Dialogue start(int64_t tokens = 6, std::optional<ChatTemplate> form = {}) const {
    return {*lm, tokenizer, form, {.sampling = {.seed = 1}, .max_tokens = tokens, .end = tokenizer.eos()}, {}};
  }
  Dialogue::Answer say(Dialogue& c, const std::string& text, std::string* said = nullptr) {
    std::string all;
    const auto answer = c.say(
        text, [&](const std::string& piece) { all += piece; }, interrupted);
    EXPECT_EQ(all, c.last_answer());
    if (said) *said = all;
    return answer;
  }
};

TEST(Dialogue, FeedsNewTokensAloneAndStartsAgain) {
  Talk t;
  Dialogue c = t.start(), alone = t.start();
  std::string first, again;
  const auto one = t.say(c, "猫", &first);
  EXPECT_EQ(one.fed, t.tokenizer.encode("猫").size());
  const auto two = t.say(c, "犬");
  EXPECT_LT(two.fed, t.tokenizer.encode("猫" + first + "犬").size());
  t.say(alone, "猫", &again);
  EXPECT_EQ(first, again);
  EXPECT_TRUE(c.undo());
  EXPECT_EQ(c.exchanges(), 1);
  c.reset();
  EXPECT_FALSE(c.undo());
  EXPECT_LE(t.say(c, "猫").fed, one.fed);
}

TEST(Dialogue, ForgetsTheOldestTurnsThatDoNotFit) {
  Talk t(32);
  Dialogue c = t.start(6);
  size_t dropped = 0;
  for (int i = 0; i < 12; ++i) dropped += t.say(c, "猫と犬").dropped;
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(c.exchanges() + int64_t(dropped), 12);
  const int64_t before = c.exchanges();
  std::string much;
  for (int i = 0; i < 60; ++i) much += "猫";
  EXPECT_ERROR(t.say(c, much), Exit::usage, "say it in fewer words");
  EXPECT_EQ(c.exchanges(), before) << "a turn that is refused changes nothing";
}

TEST(Dialogue, AnInterruptEndsTheAnswer) {
  Talk t;
  Dialogue c = t.start(30);
  size_t pieces = 0;
  c.say(
      "猫", [&](const std::string&) { t.interrupted = ++pieces == 2; }, t.interrupted);
  EXPECT_LE(pieces, 3u);
  t.interrupted = false;
  t.say(c, "犬");
  EXPECT_EQ(c.exchanges(), 2);
}

// What is fed is the template's prompt, however much of it was read before.
TEST(Dialogue, AsksInTheFormOfItsTemplate) {
  Talk t(256);
  for (const std::string& name : ChatTemplate::names()) {
    const ChatTemplate form = ChatTemplate::named(name);
    Dialogue c = t.start(6, form);
    c.set_system("本");
    std::string first;
    EXPECT_EQ(t.say(c, "猫", &first).fed,
              form.prompt({{Speaker::system, "本"}, {Speaker::user, "猫"}}, t.tokenizer).size());
    const std::vector<int32_t> whole = form.prompt(
        {{Speaker::system, "本"}, {Speaker::user, "猫"}, {Speaker::assistant, first}, {Speaker::user, "犬"}},
        t.tokenizer);
    const size_t fed = t.say(c, "犬").fed;
    EXPECT_GT(fed, 0u);
    EXPECT_LT(fed, whole.size()) << name;
    EXPECT_EQ(ChatTemplate::of_jinja(form.jinja())->name(), name);
  }
  EXPECT_FALSE(ChatTemplate::of_jinja("{{ messages }}"));
}

}  // namespace
}  // namespace hinoki::dialogue_test
