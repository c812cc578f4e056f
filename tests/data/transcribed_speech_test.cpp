#include "data/transcribed_speech.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::transcribed_speech_test {
namespace {

// Utterances of so many seconds with such transcripts.
void write_corpus(const std::filesystem::path& folder, const std::vector<std::pair<double, std::string>>& utterances) {
  SpeechShardWriter shard(speech_shard_path(folder, "train", 0), "train");
  for (size_t u = 0; u < utterances.size(); ++u)
    shard.append(std::vector<int16_t>(size_t(utterances[u].first * double(kSampleRate)), int16_t(u)),
                 {say("u", u), utterances[u].second, ""});
  shard.publish();
}

CtcVocabulary letters() {
  return CtcVocabulary::of(std::map<std::string, int64_t, std::less<>>{{"a", 1}, {"b", 1}, {"c", 1}});
}

// A frame every tenth of a second; 0.5 to 2 s.
TranscribedRules rules() {
  return {.least = 8000, .most = 32000, .frames = [](int64_t samples) { return samples / 1600; }};
}

TEST(TranscribedSpeech, TakesWhatFitsAndNamesTheRest) {
  const TemporaryFolder folder;
  write_corpus(folder.path(),
               {{1, "abc"}, {1, ""}, {1, "。"}, {0.4, "a"}, {2, "a b"}, {2.1, "b"}, {0.5, "abccb"}, {0.5, "abcab"}});
  const SpeechCorpus corpus(folder.path(), "train");
  const CtcVocabulary vocabulary = letters();
  const TranscribedSpeech speech(corpus, vocabulary, rules());
  const std::vector<bool> want = {true, false, false, false, true, false, false, true};
  for (int64_t u = 0; u < corpus.utterances(); ++u) EXPECT_EQ(speech.takes(u), want[size_t(u)]) << u;
  EXPECT_EQ(speech.count(), 3);
  EXPECT_NEAR(speech.hours() * 3600, 3.5, 1e-9);
  EXPECT_EQ(speech.labels(4), (std::vector<int32_t>{5, 4, 6}));
  EXPECT_EQ(speech.notes(),
            (std::vector<std::string>{"2 utterances left out without a transcript: u1, u2",
                                      "1 utterances left out shorter than 0.5 s: u3",
                                      "1 utterances left out longer than 2 s: u5",
                                      "1 utterances left out whose transcript has more characters than the sound has "
                                      "frames: u6"}));
}

TEST(TranscribedSpeech, NamesForeignCharacters) {
  const TemporaryFolder folder;
  write_corpus(folder.path(), {{1, "abc"}, {1, "adé"}, {1, "x"}});
  const SpeechCorpus corpus(folder.path(), "train");
  const CtcVocabulary vocabulary = letters();
  EXPECT_ERROR(TranscribedSpeech(corpus, vocabulary, rules()), Exit::data,
               "utterance u1: \"d\" is not in the vocabulary of 8 tokens");
  TranscribedRules lenient = rules();
  lenient.foreign = ForeignCharacters::unknown;
  const TranscribedSpeech speech(corpus, vocabulary, lenient);
  EXPECT_EQ(speech.count(), 3);
  EXPECT_EQ(speech.labels(1), (std::vector<int32_t>{5, 3, 3}));
  EXPECT_EQ(speech.notes(), (std::vector<std::string>{"2 transcripts hold characters outside the vocabulary, which "
                                                      "become <unk>: u1 \"d\", u2 \"x\""}));
}

TEST(TranscribedSpeech, SaysWhyNothingIsLeft) {
  const TemporaryFolder folder;
  write_corpus(folder.path(), {{3, "abc"}});
  const SpeechCorpus corpus(folder.path(), "train");
  const CtcVocabulary vocabulary = letters();
  EXPECT_ERROR(TranscribedSpeech(corpus, vocabulary, rules()), Exit::data, "longer than 2 s: u0");
}

TEST(TranscribedSpeech, DrawsHoursThatHoldAllOfFewer) {
  const TemporaryFolder folder;
  write_corpus(folder.path(), std::vector<std::pair<double, std::string>>(40, {1, "a"}));
  const SpeechCorpus corpus(folder.path(), "train");
  const CtcVocabulary vocabulary = letters();
  const auto draw = [&](double seconds, uint64_t seed) {
    TranscribedRules some = rules();
    some.hours = seconds / 3600, some.seed = seed;
    std::vector<bool> takes;
    const TranscribedSpeech speech(corpus, vocabulary, some);
    for (int64_t u = 0; u < 40; ++u) takes.push_back(speech.takes(u));
    return takes;
  };
  const auto few = draw(9.5, 1), more = draw(20, 1);
  EXPECT_EQ(std::count(few.begin(), few.end(), true), 10);
  EXPECT_EQ(std::count(more.begin(), more.end(), true), 20);
  for (size_t u = 0; u < 40; ++u) EXPECT_TRUE(more[u] || !few[u]) << u;
  EXPECT_NE(few, draw(9.5, 2));
}

}  // namespace
}  // namespace hinoki::transcribed_speech_test
