#include "train/rule_scorer.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "train/config_file.h"

namespace hinoki::rule_scorer_test {
namespace {

double score(const RewardRule& rule, const std::string& answer, bool ended = true) {
  RuleScorer scorer({rule});
  const std::vector<Answered> answers = {{.prompt = "問い", .answer = answer, .ended = ended}};
  const std::vector<double> scores = scorer.score(answers);
  EXPECT_EQ(scores.size(), 1u);
  return scores.at(0);
}

std::string times(int n, const std::string& part) {
  std::string all;
  for (int i = 0; i < n; ++i) all += part;
  return all;
}

TEST(RuleScorer, CountsCharactersAndNotBytes) {
  const RewardRule rule{.kind = RewardKind::length, .least = 4, .most = 10};
  EXPECT_EQ(score(rule, "あ"), 0.25);
  EXPECT_EQ(score(rule, "あいう"), 0.75);
  EXPECT_EQ(score(rule, "あいうえ"), 1);
  EXPECT_EQ(score(rule, times(10, "鬱")), 1);
  EXPECT_EQ(score(rule, times(15, "鬱")), 0.5);
  EXPECT_EQ(score(rule, times(20, "鬱")), 0);
  EXPECT_EQ(score(rule, times(90, "鬱")), 0);
  EXPECT_EQ(score(rule, "𠮷𠮷"), 0.5);         // four bytes each
  EXPECT_EQ(score(rule, "\xff\xfe \xe3"), 1);  // broken bytes are characters, too
}

TEST(RuleScorer, GivesTheShareOfHiragana) {
  const RewardRule rule{.kind = RewardKind::hiragana};
  EXPECT_EQ(score(rule, "ひらがな"), 1);
  EXPECT_EQ(score(rule, "ひらがな、です。「はい！」　\n"), 1);  // spaces and punctuation do not count
  EXPECT_EQ(score(rule, "山です"), 2.0 / 3);
  EXPECT_EQ(score(rule, "カナかな"), 0.5);
  EXPECT_EQ(score(rule, "はい OK"), 0.5);
  EXPECT_EQ(score(rule, "はい\xff\xff"), 0.5);
  EXPECT_EQ(score(rule, "漢字"), 0);
  EXPECT_EQ(score(rule, "。。。"), 0);  // nothing to count
}

// The same mark lengthens both kinds of kana.
TEST(RuleScorer, GivesMarksToTheCharacterBeforeThem) {
  const RewardRule rule{.kind = RewardKind::hiragana};
  EXPECT_EQ(score(rule, "らーめん"), 1);
  EXPECT_EQ(score(rule, "ラーメン"), 0);
  EXPECT_EQ(score(rule, "か\u3099"), 1);  // a voicing mark of its own
  EXPECT_EQ(score(rule, "ー"), 0);
}

TEST(RuleScorer, GivesTheShareOfJapanese) {
  const RewardRule rule{.kind = RewardKind::japanese};
  EXPECT_EQ(score(rule, "東京タワーは、高い。"), 1);
  EXPECT_EQ(score(rule, "人々ｶﾅ〇"), 1);
  EXPECT_EQ(score(rule, "高さ333"), 2.0 / 5);
  EXPECT_EQ(score(rule, "Tokyo"), 0);
  EXPECT_EQ(score(rule, "한국어"), 0);
  EXPECT_EQ(score(rule, "はい😀"), 2.0 / 3);
}

TEST(RuleScorer, LooksAtTheEndOfTheLastSentence) {
  const RewardRule rule{.kind = RewardKind::ends_with, .texts = {"です。", "ます"}};
  for (const char* good : {"山です", "山です。", "山です！？ \n", "山です．", "行きます｡　", "です"})
    EXPECT_EQ(score(rule, good), 1) << good;
  for (const char* bad : {"山だ。", "ですね。", "す", "。", "山です\xff", "山です…か"})
    EXPECT_EQ(score(rule, bad), 0) << bad;
}

TEST(RuleScorer, FindsAPatternAnywhere) {
  const RewardRule rule{.kind = RewardKind::regex, .pattern = "富士.|\\p{Han}{5}"};
  EXPECT_EQ(score(rule, "それは富士山です"), 1);
  EXPECT_EQ(score(rule, "富士"), 0);
  EXPECT_EQ(score(rule, "東京都庁舎"), 1);
  EXPECT_EQ(score(rule, "富士\xff"), 1);  // what is broken is some character
  EXPECT_EQ(score({.kind = RewardKind::regex, .pattern = "^はい$"}, "はい、はい"), 0);
}

TEST(RuleScorer, KnowsWhoEnded) {
  EXPECT_EQ(score({.kind = RewardKind::ended}, "はい"), 1);
  EXPECT_EQ(score({.kind = RewardKind::ended}, "はい", false), 0);
}

TEST(RuleScorer, GivesNothingForNothing) {
  for (const RewardRule& rule :
       {RewardRule{.kind = RewardKind::length}, RewardRule{.kind = RewardKind::hiragana},
        RewardRule{.kind = RewardKind::japanese}, RewardRule{.kind = RewardKind::ends_with, .texts = {"です"}},
        RewardRule{.kind = RewardKind::regex, .pattern = "^$"}, RewardRule{.kind = RewardKind::ended}})
    EXPECT_EQ(score(rule, ""), 0) << int(rule.kind);
}

TEST(RuleScorer, AddsItsRulesUp) {
  RuleScorer scorer({{.kind = RewardKind::hiragana, .weight = 2},
                     {.kind = RewardKind::ended, .weight = 0.25},
                     {.kind = RewardKind::regex, .weight = -1, .pattern = "！"}});
  const std::vector<Answered> answers = {{"", "はい", true}, {"", "はい！", false}, {"", "", true}, {"", "山", true}};
  EXPECT_EQ(scorer.score(answers), (std::vector<double>{2.25, 1, 0, 0.25}));
  EXPECT_TRUE(scorer.score({}).empty());
}

struct Rewards {
  std::vector<RewardRule> rules;
  template <class V>
  void fields(V& v) {
    v("rules", rules);
  }
};
void read(const std::string& text) {
  Rewards rewards;
  apply_config(parse_config(text, "ppo.toml"), rewards);
}

TEST(RewardRule, IsReadAndPrinted) {
  Rewards rewards, again;
  apply_config(parse_config("[[rules]]\nkind = \"length\"\nleast = 3\nmost = 9\nweight = -0.5\n"
                            "[[rules]]\nkind = \"ends_with\"\ntexts = [\"です\", \"ます\"]\n"
                            "[[rules]]\nkind = \"regex\"\npattern = '\\d+'\n",
                            "ppo.toml"),
               rewards);
  ASSERT_EQ(rewards.rules.size(), 3u);
  EXPECT_EQ(rewards.rules[0].weight, -0.5);
  EXPECT_EQ(rewards.rules[0].most, 9);
  EXPECT_EQ(rewards.rules[1].texts[1], "ます");
  EXPECT_EQ(rewards.rules[2].pattern, "\\d+");
  apply_config(parse_config(print_config(rewards), "printed"), again);
  EXPECT_EQ(print_config(again), print_config(rewards));
}

TEST(RewardRule, SaysWhatCannotBe) {
  const auto expect = [](const std::string& text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    expect_error(Exit::usage, parts, [&] { read("[[rules]]\n" + text); });
  };
  expect("weight = 1", {"ppo.toml:1", "kind is missing"});
  expect("kind = \"lenght\"", {"ppo.toml:2", "did you mean \"length\"?"});
  expect("kind = \"length\"\nleast = 9\nmost = 3", {"ppo.toml:1", "least = 9 is above most = 3"});
  expect("kind = \"length\"\nleast = 0", {"ppo.toml:3", "at least 1"});
  expect("kind = \"ends_with\"", {"ppo.toml:1", "\"ends_with\" needs it"});
  expect("kind = \"ended\"\ntexts = [\"です\"]", {"no other takes it"});
  expect("kind = \"ended\"\npattern = \"x\"", {"no other takes it"});
  expect("kind = \"regex\"", {"\"regex\" needs it"});
  expect("kind = \"ends_with\"\ntexts = [\"です\", \"。 \"]", {"\"。 \" is nothing without"});
  expect("kind = \"regex\"\npattern = \"富士(山\"",
         {"\"富士(山\"", "U_REGEX_MISMATCHED_PAREN at character 4 of line 1"});
  expect("kind = \"regex\"\npattern = \"𠮷**\"", {"U_REGEX_RULE_SYNTAX at character"});
  EXPECT_ERROR(RuleScorer(std::vector<RewardRule>()), Exit::usage, "give one at least");
  EXPECT_ERROR(RuleScorer({{.kind = RewardKind::regex, .pattern = "["}}), Exit::usage, "no regular expression");
}

// Exponential in the length of the answer, were there no limit.
TEST(RuleScorer, EndsPatternsThatTakeForever) {
  expect_error(Exit::data, {"\"(a+)+b\"", "\"aaaaaaaa", "takes too long", "without repetitions inside"},
               [] { score({.kind = RewardKind::regex, .pattern = "(a+)+b"}, std::string(60, 'a')); });
}

}  // namespace
}  // namespace hinoki::rule_scorer_test
