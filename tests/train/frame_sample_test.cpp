// Frames drawn from a corpus, and the command that makes a codebook of them.
#include "train/frame_sample.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <set>

#include "core/base/philox.h"
#include "data/codebook.h"
#include "tests/support/expect_error.h"
#include "tests/support/ranks.h"
#include "tests/support/temporary_folder.h"
#include "train/codebook_fit.h"
#include "train/commands.h"

namespace hinoki::frame_sample_test {
namespace {

using Slots = std::vector<std::vector<float>>;

// 24 utterances of up to a second: tones with noise, each its own.
void write_corpus(const TemporaryFolder& folder) {
  SpeechShardWriter shard(folder / "train-00000.h5", "train");
  for (int64_t u = 0; u < 24; ++u) {
    std::vector<int16_t> x(size_t(300 + u * 600), 0);
    for (size_t i = 0; i < x.size(); ++i) {
      const double noise = double(unit_float(philox({.seed = 5, .site = uint64_t(u)}, i)[0])) - 0.5;
      x[i] = int16_t(8000 * std::sin(double(i) * (0.05 + 0.03 * double(u % 5))) + 2000 * noise);
    }
    shard.append(x, {std::to_string(u), "", ""});
  }
  shard.publish();
}

Slots draw(const FrameFeatures& features, int ranks, int64_t frames, uint64_t seed = 0) {
  std::vector<Slots> of_rank(static_cast<size_t>(ranks));
  test::on_ranks(ranks, [&](Communicator& c) {
    of_rank[size_t(c.rank())] = draw_frames(c, features, {.frames = frames, .slots = 4, .seed = seed});
  });
  Slots all;
  for (const Slots& slots : of_rank) all.insert(all.end(), slots.begin(), slots.end());
  return all;
}

std::multiset<std::vector<float>> rows_of(const Slots& slots) {
  std::multiset<std::vector<float>> rows;
  for (const auto& slot : slots)
    for (size_t i = 0; i < slot.size(); i += 39)
      rows.emplace(slot.begin() + int64_t(i), slot.begin() + int64_t(i) + 39);
  return rows;
}

TEST(FrameSample, TakesEachFrameOnceWhereAllAreAskedFor) {
  const TemporaryFolder folder;
  write_corpus(folder);
  const SpeechCorpus corpus(folder.path(), "train");
  const auto features = open_features("mfcc", corpus);
  Slots whole;
  for (int64_t u = 0; u < corpus.utterances(); ++u) {
    whole.emplace_back(size_t(features->frames(u) * 39));
    features->features(u, whole.back());
  }
  EXPECT_EQ(rows_of(draw(*features, 1, 1 << 20)), rows_of(whole));
}

TEST(FrameSample, IsTheSameOnAnyNumberOfRanks) {
  const TemporaryFolder folder;
  write_corpus(folder);
  const SpeechCorpus corpus(folder.path(), "train");
  const auto features = open_features("mfcc", corpus);
  const Slots alone = draw(*features, 1, 300);
  EXPECT_NEAR(double(rows_of(alone).size()), 300, 4 * std::sqrt(300.0));
  EXPECT_EQ(draw(*features, 2, 300), alone);
  EXPECT_EQ(draw(*features, 4, 300), alone);
  EXPECT_NE(draw(*features, 1, 300, 1), alone);
}

std::string run(std::vector<std::string> arguments) {
  CLI::App app;
  add_data_clusters_command(app);
  std::reverse(arguments.begin(), arguments.end());
  testing::internal::CaptureStdout();
  try {
    app.parse(arguments);
  } catch (...) {
    testing::internal::GetCapturedStdout();
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

TEST(FrameSample, BecomesTheCodebookThatAnyRanksFit) {
  const TemporaryFolder folder;
  write_corpus(folder);
  const std::string out = (folder / "codebook.h5").string(), corpus_path = folder.path().string();
  const std::string said = run({"clusters", corpus_path, "--out", out, "--clusters", "12", "--batch", "128",
                                "--batches", "30", "--slots", "4", "--seed", "3"});
  const Codebook codebook = read_codebook(out);
  EXPECT_NE(said.find(codebook.hash()), std::string::npos) << said;
  EXPECT_NE(said.find("12 clusters of mfcc at 100 frames a second"), std::string::npos) << said;
  const SpeechCorpus corpus(folder.path(), "train");
  EXPECT_EQ(codebook.corpus, corpus.hash());
  const auto features = open_features("mfcc", corpus);
  test::on_ranks(2, [&](Communicator& c) {
    const Slots mine = draw_frames(c, *features, {.frames = 2'000'000, .slots = 4, .seed = 3});
    const KMeans found = fit_k_means(
        c, mine, {.clusters = 12, .dim = 39, .batch_rows = 128, .batches = 30, .seeding_rows = 16384, .seed = 3});
    EXPECT_EQ(found.centres, codebook.centres);
  });
  const std::string none = (folder / "none.h5").string();
  EXPECT_ERROR(run({"clusters", corpus_path, "--out", none, "--clusters", "100000"}), Exit::data,
               "100000 clusters are more than the ");
  EXPECT_ERROR(run({"clusters", corpus_path, "--out", none, "--slots", "3"}), Exit::usage, "--slots 3: a power of two");
  EXPECT_ERROR(run({"clusters", corpus_path, "--out", none, "--features", "fbank"}), Exit::usage, "\"fbank\"");
  EXPECT_FALSE(std::filesystem::exists(none));

  // What labels may have been made with is replaced on demand alone.
  const std::vector<std::string> five{"clusters", corpus_path, "--out", out, "--clusters", "5", "--batches", "3"};
  EXPECT_ERROR(run(five), Exit::usage, "codebook.h5: is there already; choose another --out, or add --overwrite");
  EXPECT_EQ(read_codebook(out).hash(), codebook.hash());
  std::vector<std::string> again = five;
  again.push_back("--overwrite");
  run(again);
  EXPECT_EQ(read_codebook(out).clusters, 5);
}

TEST(FrameSample, RefusesRanksThatWereAskedForDifferentThings) {
  const TemporaryFolder folder;
  write_corpus(folder);
  const ClusterSettings asked{
      .corpus = folder.path().string(), .output = (folder / "out.h5").string(), .clusters = 3, .batches = 2};
  const std::vector<std::function<void(ClusterSettings&)>> changes{
      [](ClusterSettings& s) { s.clusters = 4; }, [](ClusterSettings& s) { s.frames = 50; },
      [](ClusterSettings& s) { s.batch = 64; },   [](ClusterSettings& s) { s.slots = 4; },
      [](ClusterSettings& s) { s.seed = 9; },     [](ClusterSettings& s) { s.features = "fbank"; }};
  for (const auto& change : changes)
    EXPECT_ERROR(test::on_ranks(2,
                                [&](Communicator& ranks) {
                                  ClusterSettings mine = asked;
                                  if (ranks.rank() == 1) change(mine);
                                  fit_codebook(ranks, mine);
                                }),
                 Exit::usage, "rank 1 was started with --features");
  EXPECT_FALSE(std::filesystem::exists(asked.output));
}

TEST(FrameSample, StopsBetweenUtterances) {
  const TemporaryFolder folder;
  write_corpus(folder);
  const SpeechCorpus corpus(folder.path(), "train");
  const auto features = open_features("mfcc", corpus);
  struct Stopped {};
  int64_t asked = 0;
  Solo alone;
  const auto stop_at_five = [&] {
    if (++asked == 5) throw Stopped();
  };
  EXPECT_THROW(draw_frames(alone, *features, {.frames = 1 << 20, .check_stop = stop_at_five}), Stopped);
  EXPECT_EQ(asked, 5);
}

}  // namespace
}  // namespace hinoki::frame_sample_test
