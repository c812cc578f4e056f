#include "data/speech_batches.h"

#include <cmath>
#include <set>

#include "tests/support/expect_error.h"
#include "tests/support/spoken_corpus.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::speech_batches_test {
namespace {

struct Corpus {
  TemporaryFolder folder;
  Corpus() { test::write_spoken_corpus(folder.path(), 40, 0); }
  SpeechCorpus open() const { return {folder.path(), "train"}; }
};

}  // namespace

TEST(SpeechBatches, VisitEachUtteranceOnceAnEpoch) {
  const Corpus made;
  const SpeechCorpus corpus = made.open();
  const SpeechBatches batches(corpus, {.samples = 12'000, .hop = 320, .least = 0}, 5);
  std::vector<int64_t> first;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> order;
    for (int64_t i = 0; i < 40; ++i) order.push_back(batches.crop(epoch * 40 + i).utterance);
    EXPECT_EQ(std::set(order.begin(), order.end()).size(), 40u);
    if (epoch == 0) first = order;
    EXPECT_EQ(order == first, epoch == 0) << "epochs have orders of their own";
  }
  double seconds = 0;
  for (int64_t u = 0; u < 40; ++u) seconds += double(std::min<int64_t>(corpus.samples(u), 12'000)) / 16'000;
  EXPECT_NEAR(batches.seconds(), seconds, 1e-9);
}

TEST(SpeechBatches, CropLongUtterancesAtEveryPlace) {
  const Corpus made;
  const SpeechCorpus corpus = made.open();
  const SpeechBatches batches(corpus, {.samples = 12'000, .hop = 320, .least = 0}, 5);
  std::map<int64_t, std::set<int64_t>> begins;
  std::vector<float> row(12'000), whole;
  for (int64_t i = 0; i < 40 * 100; ++i) {
    const Crop c = batches.crop(i);
    const int64_t has = corpus.samples(c.utterance);
    ASSERT_EQ(c.samples, std::min<int64_t>(has, 12'000));
    ASSERT_EQ(c.begin % 320, 0);
    ASSERT_LE(c.begin + c.samples, has);
    begins[c.utterance].insert(c.begin);
    if (i % 97 > 0) continue;
    batches.fill(c, row);
    whole.resize(size_t(has));
    corpus.read(c.utterance, std::span(whole));
    for (int64_t s = 0; s < 12'000; ++s)
      ASSERT_EQ(row[size_t(s)], s < c.samples ? whole[size_t(c.begin + s)] : 0) << s;
  }
  // 1.5 s: 38 places, of which a hundred draws miss (1 - 1/38)^100 = 7 %.
  EXPECT_GT(begins[9].size(), 30u);
  EXPECT_EQ(begins[0].size(), 1u) << "0.6 s are shorter than a row";
}

TEST(SpeechBatches, LeaveOutWhatIsTooShortTooLongOrNotWanted) {
  const Corpus made;
  const SpeechCorpus corpus = made.open();
  const SpeechBatches some(corpus, {.samples = 12'000, .least = 12'800, .most = 16'000}, 5);
  EXPECT_EQ(some.count(), 12);  // 0.8, 0.9 and 1.0 s, four of each
  EXPECT_EQ(some.left_out(), 28);
  const SpeechBatches odd(corpus, {.least = 0}, 5, [](int64_t u) { return u % 2 == 1; });
  EXPECT_EQ(odd.count(), 20);
  EXPECT_EQ(odd.beginning(3).utterance, 7);
  EXPECT_ERROR(SpeechBatches(corpus, {.least = 160'000}, 5), Exit::data, "none of 40 utterances can be used");
}

TEST(SpeechBatches, NormalizeAsTheProcessorDoes) {
  const Corpus made;
  const SpeechCorpus corpus = made.open();
  const SpeechBatches batches(corpus, {.samples = 20'000, .least = 0, .normalize = true}, 5);
  std::vector<float> row(20'000);
  const Crop c = batches.beginning(2);
  batches.fill(c, row);
  double mean = 0, square = 0;
  for (int64_t s = 0; s < c.samples; ++s) mean += double(row[size_t(s)]), square += std::pow(double(row[size_t(s)]), 2);
  EXPECT_NEAR(mean / double(c.samples), 0, 1e-6);
  EXPECT_NEAR(square / double(c.samples), 1, 1e-4);
  EXPECT_EQ(row[size_t(c.samples)], 0) << "padding stays zero";
}

}  // namespace hinoki::speech_batches_test
