#include "train/dialogue.h"

#include <gtest/gtest.h>

#include "data/stop_text.h"
#include "models/model.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_run.h"

namespace hinoki {
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

TEST(Render, IsTheTemplate) {
  const std::vector<Exchange> turns{{"a\nb", "c"}, {"d", ""}};
  EXPECT_EQ(render(TurnTemplate::rinna, "", turns),
            "ユーザー: a<NL>b<NL>システム: c<NL>ユーザー: d<NL>システム: ");
  EXPECT_EQ(render(TurnTemplate::rinna_newline, "s", turns),
            "s\nユーザー: a\nb\nシステム: c\nユーザー: d\nシステム: ");
  EXPECT_EQ(render(TurnTemplate::none, "s", turns), "sa\nbcd");
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
  Dialogue start(int64_t tokens = 6) const {
    return {*lm, tokenizer, TurnTemplate::none, {.sampling = {.seed = 1}, .max_tokens = tokens, .end = tokenizer.eos()}, {}};
  }
  Dialogue::Answer say(Dialogue& c, const std::string& text, std::string* said = nullptr) {
    std::string all;
    const auto answer = c.say(text, [&](const std::string& piece) { all += piece; }, interrupted);
    EXPECT_EQ(all, c.turns().back().answer);
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
  const size_t whole = t.tokenizer.encode(render(TurnTemplate::none, "", c.turns())).size();
  EXPECT_LT(two.fed, whole);
  t.say(alone, "猫", &again);
  EXPECT_EQ(first, again);
  EXPECT_TRUE(c.undo());
  EXPECT_EQ(c.turns().size(), 1u);
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
  EXPECT_EQ(c.turns().size() + dropped, 12u);
  const size_t before = c.turns().size();
  std::string much;
  for (int i = 0; i < 60; ++i) much += "猫";
  EXPECT_ERROR(t.say(c, much), Exit::usage, "say it in fewer words");
  EXPECT_EQ(c.turns().size(), before) << "a turn that is refused changes nothing";
}

TEST(Dialogue, AnInterruptEndsTheAnswer) {
  Talk t;
  Dialogue c = t.start(30);
  size_t pieces = 0;
  c.say("猫", [&](const std::string&) { t.interrupted = ++pieces == 2; }, t.interrupted);
  EXPECT_LE(pieces, 3u);
  t.interrupted = false;
  t.say(c, "犬");
  EXPECT_EQ(c.turns().size(), 2u);
}

}  // namespace
}  // namespace hinoki
