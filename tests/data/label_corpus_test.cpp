// Labels of a corpus, written and read: every one is the nearest centre, and none of another corpus or codebook passes.
#include "data/label_corpus.h"

#include <barrier>
#include <cmath>
#include <thread>

#include "core/base/log.h"
#include "core/base/parallel.h"
#include "data/label_prepare.h"
#include "data/token_shard.h"
#include "tests/support/expect_error.h"
#include "tests/support/spoken_corpus.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::label_corpus_test {
namespace {

class Labels : public testing::Test {
 protected:
  Labels() {
    set_quiet(true);
    test::write_spoken_corpus(speech());
    corpus_ = std::make_unique<SpeechCorpus>(speech(), "train");
    features_ = open_features("mfcc", *corpus_);
    write_codebook(folder_ / "codebook.h5", test::codebook_of(*features_, 12));
  }
  ~Labels() override { set_quiet(false); }

  std::filesystem::path speech() const { return folder_ / "speech"; }
  LabelPreparation settings(const std::string& output = "labels", const std::string& codebook = "codebook.h5") const {
    return {.corpus = speech(),
            .codebook = folder_ / codebook,
            .output = folder_ / output,
            .features = [](const SpeechCorpus& corpus) { return open_features("mfcc", corpus); }};
  }

  TemporaryFolder folder_;
  std::unique_ptr<SpeechCorpus> corpus_;
  std::unique_ptr<FrameFeatures> features_;
};

// The nearest centres of a frame in double; more than one where they are as near as rounding can tell.
bool is_nearest(const Codebook& book, const float* x, int32_t label) {
  const auto distance = [&](int64_t c) {
    double d = 0;
    for (int64_t p = 0; p < book.dim; ++p) d += std::pow(double(x[p]) - double(book.centres[size_t(c * book.dim + p)]), 2);
    return d;
  };
  double squares = 0;
  for (int64_t p = 0; p < book.dim; ++p) squares += double(x[p]) * double(x[p]);
  for (int64_t c = 0; c < book.clusters; ++c)
    if (distance(c) < distance(label) - 1e-5 * squares) return false;
  return true;
}

}  // namespace

TEST_F(Labels, AreTheNearestCentresOfBothSplits) {
  const LabelReport report = prepare_labels(settings());
  const Codebook book = read_codebook(folder_ / "codebook.h5");
  EXPECT_EQ(report.origin, (LabelOrigin{"mfcc", book.hash(), 100, 12}));
  for (const auto& [split, said] : {std::pair("train", report.train), std::pair("validation", report.validation)}) {
    const SpeechCorpus corpus(speech(), split);
    const auto features = open_features("mfcc", corpus);
    const LabelCorpus labels(folder_ / "labels", corpus, split);
    EXPECT_EQ(labels.origin(), report.origin);
    std::vector<int64_t> counts(12);
    int64_t total = 0;
    for (int64_t u = 0; u < corpus.utterances(); ++u) {
      std::vector<float> x(size_t(features->frames(u) * 39));
      features->features(u, x);
      std::vector<int32_t> got(size_t(labels.labels(u)));
      ASSERT_EQ(int64_t(got.size()), features->frames(u));
      labels.read(u, got);
      for (size_t t = 0; t < got.size(); ++t) {
        ASSERT_TRUE(is_nearest(book, x.data() + 39 * t, got[t])) << split << " " << u << " " << t;
        ++counts[size_t(got[t])];
      }
      total += int64_t(got.size());
    }
    EXPECT_EQ(labels.counts(), counts);
    EXPECT_EQ(said.counts, counts);
    EXPECT_EQ(labels.total(), total);
    EXPECT_EQ(said.labels, total);
    EXPECT_GT(usage_of(counts).entropy, 1) << "12 centres of five vowels and what lies between";
  }
  EXPECT_TRUE(prepare_labels(settings()).reused);
  EXPECT_EQ(prepare_labels(settings()).train.counts, report.train.counts);
}

TEST_F(Labels, HaveTheSameBytesWhateverHappensOnTheWay) {
  prepare_labels(settings());
  const auto whole = bytes_of_files(folder_ / "labels");
  ASSERT_EQ(whole.size(), 4u);  // three shards and prepare.json
  for (const int threads : {1, 3}) {
    ThreadPool own(threads);
    const UsePool use(own);
    prepare_labels(settings("threads"));
    EXPECT_TRUE(bytes_of_files(folder_ / "threads") == whole) << threads << " threads";
    std::filesystem::remove_all(folder_ / "threads");
  }
  for (const int ranks : {2, 3}) {  // each makes its shards, and rank 0 the report
    std::barrier meeting(ranks);
    std::vector<std::thread> team;
    std::vector<LabelReport> reports(static_cast<size_t>(ranks));
    for (int r = 0; r < ranks; ++r)
      team.emplace_back([&, r] {
        const LabelTeam together{.rank = r, .ranks = ranks, .meet = [&] { meeting.arrive_and_wait(); }};
        reports[size_t(r)] = prepare_labels(settings("ranks"), together);
      });
    for (std::thread& t : team) t.join();
    EXPECT_TRUE(bytes_of_files(folder_ / "ranks") == whole) << ranks << " ranks";
    EXPECT_GT(reports[0].train.labels, 0);
    std::filesystem::remove_all(folder_ / "ranks");
  }
  // As kills leave it: one shard is done, one is half written, one is damaged.
  const auto out = folder_ / "labels";
  std::filesystem::remove(out / "prepare.json");
  folder_.write("labels/unfinished", "");
  folder_.write("labels/train-00001.h5.tmp", whole.at("train-00001.h5").substr(0, 1000));
  std::filesystem::remove(out / "train-00001.h5");
  std::string damaged = whole.at("validation-00000.h5");
  damaged[damaged.find("hinoki labels")] ^= 1;
  folder_.write("labels/validation-00000.h5", damaged);
  EXPECT_ERROR(LabelCorpus(out, *corpus_, "train"), Exit::data, "are not finished; run `hinoki data labels` again");
  const LabelReport again = prepare_labels(settings());
  EXPECT_EQ(again.train.reused, 1);
  EXPECT_EQ(again.validation.reused, 0);
  EXPECT_TRUE(bytes_of_files(out) == whole);
}

TEST_F(Labels, OfOtherSettingsAreNotWrittenOver) {
  prepare_labels(settings());
  write_codebook(folder_ / "other.h5", test::codebook_of(*features_, 7));
  EXPECT_ERROR(prepare_labels(settings("labels", "other.h5")), Exit::usage, "made with clusters = 12 and not 7");
  LabelPreparation over = settings("labels", "other.h5");
  over.overwrite = true;
  EXPECT_EQ(prepare_labels(over).origin.clusters, 7);
  EXPECT_EQ(LabelCorpus(folder_ / "labels", *corpus_, "train").clusters(), 7);
}

TEST_F(Labels, OfTwoCodebooksOrRatesAreNotMixed) {
  prepare_labels(settings());
  Codebook other = test::codebook_of(*features_, 12);
  other.centres[0] += 1;
  write_codebook(folder_ / "other.h5", other);
  prepare_labels(settings("others", "other.h5"));
  const SpeechCorpus validation(speech(), "validation");
  const std::string one = read_codebook(folder_ / "codebook.h5").hash(), two = other.hash();
  expect_error(Exit::data, {one, two, "cannot be mixed"}, [&] {
    require_same_codebook(LabelCorpus(folder_ / "labels", *corpus_, "train"),
                          LabelCorpus(folder_ / "others", validation, "validation"));
  });
  std::filesystem::copy(folder_ / "others/train-00001.h5", folder_ / "labels/train-00001.h5",
                        std::filesystem::copy_options::overwrite_existing);
  expect_error(Exit::data, {one, two, "train-00001.h5", "cannot be mixed"},
               [&] { LabelCorpus(folder_ / "labels", *corpus_, "train"); });
}

TEST_F(Labels, OfFeaturesThatTheCodebookIsNotOfAreRefused) {
  Codebook other = test::codebook_of(*features_, 3);
  other.features = "hubert layer 6";
  other.rate = 50;
  write_codebook(folder_ / "other.h5", other);
  expect_error(Exit::data, {"other.h5", "hubert layer 6, 39 numbers at 50", "mfcc, 39 numbers at 100"},
               [&] { prepare_labels(settings("labels", "other.h5")); });
  EXPECT_FALSE(std::filesystem::exists(folder_ / "labels"));
}

TEST_F(Labels, BelongToOneCorpus) {
  prepare_labels(settings());
  test::write_spoken_corpus(folder_ / "longer", 22);
  const SpeechCorpus longer(folder_ / "longer", "train");
  expect_error(Exit::data, {corpus_->hash(), longer.hash(), "make them again"},
               [&] { LabelCorpus(folder_ / "labels", longer, "train"); });
  EXPECT_ERROR(LabelCorpus(folder_ / "nothing", *corpus_, "train"), Exit::data, "there are no labels");
  std::filesystem::remove(folder_ / "labels/train-00001.h5");
  EXPECT_ERROR(LabelCorpus(folder_ / "labels", *corpus_, "train"), Exit::data, "labels for 10 utterances");
}

TEST_F(Labels, FlippedBitsAreFound) {
  prepare_labels(settings());
  const auto path = folder_ / "labels/train-00000.h5";
  const std::string whole = bytes_of_file(path);
  std::vector<int32_t> first;
  std::string counts;
  {  // closed before the file changes: HDF5 keeps what it has read of an open one
    const LabelCorpus labels(folder_ / "labels", *corpus_, "train");
    first.resize(size_t(labels.labels(0)));
    labels.read(0, first);
    const LabelShard shard = open_label_shard(path);
    counts.assign(reinterpret_cast<const char*>(shard.index.counts.data()), shard.index.counts.size() * 8);
  }
  const auto spoil = [&](const std::string& what, size_t byte) {
    const size_t at = whole.find(what);
    ASSERT_NE(at, whole.npos);
    std::string bad = whole;
    bad[at + byte] ^= 1;
    folder_.write("labels/train-00000.h5", bad);
  };
  spoil(std::string(first.begin(), first.end()), 3);  // one byte a label
  {
    const LabelCorpus damaged(folder_ / "labels", *corpus_, "train");
    EXPECT_ERROR(damaged.read(0, first), Exit::data, "the labels of utterance 0 are damaged");
  }
  spoil(counts, 0);
  EXPECT_ERROR(LabelCorpus(folder_ / "labels", *corpus_, "train"), Exit::data, "the index is damaged");
}

TEST_F(Labels, MustCoverTheFramesOfTheModel) {
  prepare_labels(settings());
  const LabelCorpus labels(folder_ / "labels", *corpus_, "train");
  EXPECT_EQ(labels.stride(50), 2);
  EXPECT_ERROR(labels.stride(75), Exit::data, "100 labels a second do not divide among 75 frames");
  const auto frames = [](int64_t samples) { return (samples - 400) / 320 + 1; };
  EXPECT_NO_THROW(labels.check_lengths(50, frames));
  EXPECT_ERROR(labels.check_lengths(50, [&](int64_t n) { return frames(n) + 1; }), Exit::data, "utterance 0 (speaker/0)");
  EXPECT_ERROR(labels.check_lengths(50, [&](int64_t n) { return frames(n) - 7; }), Exit::data, "do not suit the model");
  EXPECT_NO_THROW(labels.check_lengths(50, [&](int64_t n) { return frames(n) - 5; }));  // 0.1 s
}

TEST_F(Labels, TellTheLongestSilence) {
  std::vector<int16_t> samples = test::spoken(5, 1.5);
  std::fill(samples.begin() + 3200, samples.begin() + 3200 + 9600, int16_t(3));
  std::fill(samples.begin() + 16000, samples.begin() + 16640, int16_t(-2));
  std::filesystem::create_directories(folder_ / "quiet");
  SpeechShardWriter shard(folder_ / "quiet/train-00000.h5", "train");
  shard.append(samples, {"a", "", ""});
  shard.append(std::vector<int16_t>(200, 5), {"short", "", ""});  // no frame fits in
  shard.publish();
  LabelPreparation s = settings();
  s.corpus = folder_ / "quiet";
  const LabelReport report = prepare_labels(s);
  EXPECT_EQ(report.validation.utterances, 0);
  const SpeechCorpus corpus(folder_ / "quiet", "train");
  const LabelCorpus labels(folder_ / "labels", corpus, "train");
  EXPECT_EQ(labels.longest_silence(0), 9600);
  EXPECT_EQ(labels.longest_silence(1), 200);
  EXPECT_EQ(labels.labels(1), 0);
  std::vector<int32_t> none;
  EXPECT_NO_THROW(labels.read(1, none));
}

TEST(LabelUsage, IsTheEntropyOfTheShares) {
  const LabelUsage usage = usage_of(std::vector<int64_t>{2, 0, 1, 1});
  EXPECT_NEAR(usage.entropy, 1.5 * std::log(2.0), 1e-12);
  EXPECT_EQ(usage.used, 3);
  EXPECT_EQ(usage.commonest, 0.5);
}

}  // namespace hinoki::label_corpus_test
