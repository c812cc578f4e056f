#include "data/ctc_vocabulary.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::ctc_vocabulary_test {
namespace {

using Counts = std::map<std::string, int64_t, std::less<>>;
using Ids = std::vector<int32_t>;

TEST(Transcripts, AreNormalisedByTheRules) {
  const TranscriptRules rules;
  EXPECT_EQ(normal_transcript("吾輩は、猫である。", rules), "吾輩は猫である");
  EXPECT_EQ(normal_transcript(" ｶﾞｷﾞ　「ＡＢ」  １ ", rules), "ガギ AB 1");
  EXPECT_EQ(normal_transcript("。、", rules), "");
  EXPECT_EQ(normal_transcript("ｶ、 ", {.nfkc = false, .punctuation = true}), "ｶ、");
  const UtteranceTexts texts{.id = "a", .transcript = "今日は", .kana = "キョーワ"};
  EXPECT_EQ(transcript_of(texts, rules), "今日は");
  EXPECT_EQ(transcript_of(texts, {.unit = TranscriptUnit::kana}), "キョーワ");
  EXPECT_ERROR(normal_transcript("a\xff", rules), Exit::data, "broken UTF-8 at byte 1");
}

TEST(CtcVocabulary, IsOfTheCorpusCharacters) {
  const TemporaryFolder folder;
  SpeechShardWriter shard(speech_shard_path(folder.path(), "train", 0), "train");
  const std::vector<int16_t> sound(16000, 100);
  shard.append(sound, {"one", "猫、犬。", "ねこ いぬ"});
  shard.append(sound, {"two", "猫 猫", ""});
  shard.append(sound, {"three", "", ""});
  shard.publish();
  const SpeechCorpus corpus(folder.path(), "train");
  const CtcVocabulary all = CtcVocabulary::of(corpus, {});
  ASSERT_EQ(all.size(), 7);
  EXPECT_EQ(all.blank(), 0);
  EXPECT_EQ(all.token(0), "<pad>");
  EXPECT_EQ(all.token(1), "<s>");
  EXPECT_EQ(all.token(2), "</s>");
  EXPECT_EQ(all.token(3), "<unk>");
  EXPECT_EQ(all.token(4), "|");
  EXPECT_EQ(all.token(5), "犬");  // U+72AC before U+732B
  EXPECT_EQ(all.token(6), "猫");
  EXPECT_EQ(CtcVocabulary::of(corpus, {.unit = TranscriptUnit::kana}).size(), 9);
  const CtcVocabulary often = CtcVocabulary::of(corpus, {}, 2);
  EXPECT_EQ(often.size(), 6);
  EXPECT_EQ(often.encode("猫犬").ids, (Ids{5, 3}));
  EXPECT_ERROR(CtcVocabulary::of(corpus, {}, 100), Exit::data, "no character comes 100 times");
}

TEST(CtcVocabulary, SpellsAndReads) {
  const CtcVocabulary v = CtcVocabulary::of(Counts{{"a", 1}, {"い", 1}, {" ", 3}, {"|", 3}});
  ASSERT_EQ(v.size(), 7);
  const auto encoded = v.encode("aい aう|");
  EXPECT_EQ(encoded.ids, (Ids{5, 6, 4, 5, 3, 3}));
  EXPECT_EQ(encoded.foreign, (std::vector<std::string>{"う", "|"}));
  EXPECT_EQ(v.decode(Ids{4, 5, 0, 1, 2, 3, 4, 6, 4}), "a い");
  EXPECT_EQ(v.text_of(4), " ");
  EXPECT_EQ(v.text_of(0), "");
}

TEST(CtcVocabulary, ComesBackFromItsFiles) {
  const TemporaryFolder folder;
  const CtcVocabulary v = CtcVocabulary::of(Counts{{"\"", 1}, {"い", 1}, {"\\", 3}});
  v.write(folder.path().string());
  const CtcVocabulary again = CtcVocabulary::load(folder.path().string());
  EXPECT_TRUE(again == v);
  EXPECT_EQ(again.encode("い\"\\ ").ids, v.encode("い\"\\ ").ids);
}

// As others write them: other names, another order, no files beside it.
TEST(CtcVocabulary, ReadsForeignFolders) {
  const TemporaryFolder folder;
  folder.write("vocab.json", R"({"[PAD]": 2, "[UNK]": 1, "a": 0})");
  EXPECT_ERROR(CtcVocabulary::load(folder.path().string()), Exit::data, "lacks \"<pad>\", the blank of CTC");
  folder.write("special_tokens_map.json", R"({"pad_token": {"content": "[PAD]"}, "unk_token": "[UNK]"})");
  const CtcVocabulary v = CtcVocabulary::load(folder.path().string());
  EXPECT_EQ(v.blank(), 2);
  EXPECT_EQ(v.unknown(), 1);
  EXPECT_EQ(v.encode("a b").ids, (Ids{0, 1}));
  EXPECT_EQ(v.decode(Ids{0, 2, 0, 1}), "aa");
}

TEST(CtcVocabulary, RefusesWhatIsNone) {
  const TemporaryFolder folder;
  for (const auto& [text, why] : {std::pair{"[]", "not an object"},
                                  {"{}", "0 tokens are no vocabulary"},
                                  {R"({"<pad>": 0, "a": 0})", "has the id 0; ids are 0 to 1, each once"},
                                  {R"({"<pad>": 0, "a": 2})", "\"a\" has the id 2; ids are 0 to 1"},
                                  {R"({"<pad>": 0, "a": -1})", "has the id -1"},
                                  {R"({"<pad>": 0, "a": "1"})", "has the id \"1\""}}) {
    folder.write("vocab.json", text);
    EXPECT_ERROR(CtcVocabulary::load(folder.path().string()), Exit::data, why);
    EXPECT_ERROR(CtcVocabulary::load(folder.path().string()), Exit::data, "vocab.json");
  }
}

}  // namespace
}  // namespace hinoki::ctc_vocabulary_test
