#include "train/layer_features.h"

#include <cmath>

#include "core/base/log.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_hubert_run.h"
#include "train/codebook_fit.h"
#include "train/run.h"

namespace hinoki::layer_features_test {
namespace {

class Layer : public testing::Test {
 protected:
  Layer() {
    set_quiet(true);
    hinoki::Run run(tiny_.config);
    run.step();
    snapshot_ = run.save();
  }
  ~Layer() override { set_quiet(false); }

  std::string spec(int64_t layer) const { return say("hubert:", snapshot_, ":layer=", layer); }

  const test::TinyHubertRun tiny_;
  std::string snapshot_;
  const SpeechCorpus corpus_{tiny_.folder / "speech", "train"};
};

TEST_F(Layer, FeaturesAreItsHiddenStates) {
  const LoadedHubert model = load_hubert(snapshot_);
  for (const int64_t layer : {1, 2}) {
    const auto features = open_all_features(spec(layer), corpus_);
    EXPECT_EQ(features->dim(), 24);
    EXPECT_EQ(features->rate(), 50);
    for (const int64_t u : {0, 9}) {
      const NoGrad no_grad;
      std::vector<float> sound(size_t(corpus_.samples(u))), got(size_t(features->frames(u) * 24));
      corpus_.read(u, std::span(sound));
      std::vector<Tensor> states;
      model.hubert().forward({.samples = from_values<float>({1, int64_t(sound.size())}, sound)}, {}, &states);
      features->features(u, got);
      ASSERT_EQ(states.at(size_t(layer)).numel(), int64_t(got.size()));
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], states[size_t(layer)].as<float>()[i]) << i;
    }
  }
  EXPECT_NE(open_all_features(spec(1), corpus_)->kind(), open_all_features(spec(2), corpus_)->kind());
}

// In chunks there are as many frames, and where a chunk's middle is, nearly the same ones.
TEST_F(Layer, OfLongUtterancesComesInChunks) {
  const auto whole = open_all_features(spec(1), corpus_);
  const LayerFeatures parts(load_hubert(snapshot_), 1, corpus_, 5000);  // 15 frames
  std::vector<float> a(size_t(whole->frames(9) * 24)), b(size_t(parts.frames(9) * 24), NAN);
  whole->features(9, a);
  parts.features(9, b);
  EXPECT_EQ(a.size(), b.size());
  for (const float v : b) ASSERT_TRUE(std::isfinite(v));
  EXPECT_EQ(parts.kind(), whole->kind());
}

TEST_F(Layer, BecomesClustersAndLabelsOfTheSecondIteration) {
  Solo alone;
  const std::string book = (tiny_.folder / "second.h5").string();
  const FittedCodebook fitted = fit_codebook(
      alone, {.corpus = tiny_.config.data.corpus, .output = book, .features = spec(2), .clusters = 9, .batches = 20});
  EXPECT_EQ(fitted.codebook.rate, 50);
  const LabelReport report =
      prepare_labels({.corpus = tiny_.config.data.corpus,
                      .codebook = book,
                      .output = tiny_.folder / "second",
                      .features = [&](const SpeechCorpus& c) { return open_all_features(spec(2), c); }});
  EXPECT_EQ(report.origin.features, open_all_features(spec(2), corpus_)->kind());
  HubertConfig config = tiny_.in("second");
  config.data.labels = (tiny_.folder / "second").string();
  config.targets.classes = 9;
  hinoki::Run run(config);
  EXPECT_TRUE(std::isfinite(run.step().loss));
  // Labels of another snapshot, or another layer, are not of this codebook.
  EXPECT_ERROR(prepare_labels({.corpus = tiny_.config.data.corpus,
                               .codebook = book,
                               .output = tiny_.folder / "third",
                               .features = [&](const SpeechCorpus& c) { return open_all_features(spec(1), c); }}),
               Exit::data, "hubert layer 1 of");
}

TEST_F(Layer, ThatIsNotThereIsRefused) {
  EXPECT_ERROR(open_all_features(spec(3), corpus_), Exit::usage, "the model has layers 1 to 2");
  for (const std::string& bad : {"hubert:" + snapshot_, std::string("hubert::layer=1"),
                                 "hubert:" + snapshot_ + ":layer=two", "hubert:" + snapshot_ + ":layer=0"})
    EXPECT_ERROR(open_all_features(bad, corpus_), Exit::usage, "hubert:FOLDER:layer=N");
  EXPECT_ERROR(open_all_features("fbank", corpus_), Exit::usage, "\"fbank\"");
}

}  // namespace
}  // namespace hinoki::layer_features_test
