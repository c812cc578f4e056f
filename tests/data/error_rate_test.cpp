#include "data/error_rate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/base/philox.h"
#include "tests/support/expect_error.h"

namespace hinoki::error_rate_test {
namespace {

void expect(const Errors& e, int64_t substitutions, int64_t deletions, int64_t insertions, int64_t length) {
  EXPECT_EQ(e.substitutions, substitutions);
  EXPECT_EQ(e.deletions, deletions);
  EXPECT_EQ(e.insertions, insertions);
  EXPECT_EQ(e.length, length);
}

TEST(ErrorRate, CountsByCharacters) {
  expect(character_errors("吾輩は猫である", "吾輩は猫である"), 0, 0, 0, 7);
  expect(character_errors("吾輩は猫である", "吾輩が猫だ"), 2, 2, 0, 7);
  expect(character_errors("猫", "子猫が"), 0, 0, 2, 1);
  expect(character_errors("", "猫"), 0, 0, 1, 0);
  expect(character_errors("猫", ""), 0, 1, 0, 1);
  expect(character_errors("𠮟る", "叱る"), 1, 0, 0, 2);  // a character of four bytes is one
}

TEST(ErrorRate, CharactersLeaveOutWhiteSpace) {
  expect(character_errors("吾輩 は\n猫\u3000である\t", "吾輩は猫である"), 0, 0, 0, 7);
  expect(character_errors("ア", "ｱ"), 1, 0, 0, 1);  // not normalised here
}

TEST(ErrorRate, CountsByWords) {
  expect(word_errors("the cat  sat", " the cat sat "), 0, 0, 0, 3);
  expect(word_errors("the cat sat", "the cats sat down"), 1, 0, 1, 3);
  expect(word_errors("吾輩\u3000は 猫", "吾輩 猫"), 0, 1, 0, 3);
}

TEST(ErrorRate, RatesOfACorpusWeighUtterancesByLength) {
  Errors all = character_errors("一二三四五六七八九十", "一二三四五六七八九");
  all += character_errors("百", "千");
  EXPECT_DOUBLE_EQ(all.rate(), 2.0 / 11);
  EXPECT_EQ(character_errors("", "").rate(), 0);
  EXPECT_TRUE(std::isinf(character_errors("", "猫").rate()));
  EXPECT_EQ(character_errors("猫", "三匹の犬").rate(), 4);
}

// The least number of edits, by trying all of them.
int64_t least(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return int64_t(a.size() + b.size());
  const int64_t both = least(a.substr(1), b.substr(1)) + (a[0] != b[0]);
  return std::min({both, least(a.substr(1), b) + 1, least(a, b.substr(1)) + 1});
}

TEST(ErrorRate, FindsTheLeastNumberOfEdits) {
  for (uint64_t i = 0; i < 300; ++i) {
    std::string texts[2];
    for (uint64_t t = 0; t < 2; ++t)
      for (uint64_t c = 0, n = philox({.seed = 4, .site = t}, i)[0] % 7; c < n; ++c)
        texts[t] += char('a' + philox({.seed = 5, .site = t}, i * 8 + c)[0] % 3);
    const Errors e = character_errors(texts[0], texts[1]), back = character_errors(texts[1], texts[0]);
    EXPECT_EQ(e.all(), least(texts[0], texts[1])) << texts[0] << ' ' << texts[1];
    EXPECT_EQ(e.insertions - e.deletions, int64_t(texts[1].size()) - int64_t(texts[0].size()));
    EXPECT_EQ(e.substitutions, back.substitutions);
    EXPECT_EQ(e.insertions, back.deletions);
  }
}

TEST(ErrorRate, BrokenTextIsRefused) {
  EXPECT_ERROR(character_errors("猫", "\xe7\x8c"), Exit::data, "broken UTF-8 at byte 0");
  EXPECT_ERROR(word_errors("a \xff", "b"), Exit::data, "broken UTF-8 at byte 2");
}

}  // namespace
}  // namespace hinoki::error_rate_test
