#include "data/frame_features.h"

#include <cmath>

#include "kernels/mfcc.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::frame_features_test {
namespace {

std::vector<int16_t> sound(int64_t samples, double hertz) {
  std::vector<int16_t> x(size_t(samples), 0);
  for (size_t i = 0; i < x.size(); ++i) x[i] = int16_t(9000 * std::sin(hertz * double(i) * 6.2831853 / 16000));
  return x;
}

TEST(FrameFeatures, AreThoseOfTheUtterance) {
  const TemporaryFolder folder;
  SpeechShardWriter shard(folder / "train-00000.h5", "train");
  for (const int64_t samples : {16000, 399, 4321}) shard.append(sound(samples, double(samples) / 20), {"u", "", ""});
  shard.publish();
  const SpeechCorpus corpus(folder.path(), "train");
  const auto features = open_features("mfcc", corpus);
  EXPECT_EQ(features->kind(), "mfcc");
  EXPECT_EQ(features->dim(), 39);
  EXPECT_EQ(features->rate(), 100);
  EXPECT_EQ(&features->corpus(), &corpus);
  EXPECT_EQ(features->frames(0), 98);
  EXPECT_EQ(features->frames(1), 0);
  EXPECT_EQ(features->frames(2), 25);
  features->features(1, {});  // nothing to fill
  for (const int64_t u : {0, 2}) {
    std::vector<float> x(size_t(corpus.samples(u))), got(size_t(features->frames(u) * 39)), expected(got.size());
    corpus.read(u, std::span(x));
    kernels::mfcc.run(Device::cpu, {}, {.x = x.data(), .features = expected.data(), .samples = corpus.samples(u)});
    features->features(u, got);
    EXPECT_EQ(got, expected);
    EXPECT_NE(got[39], 0);
  }
  std::vector<float> wrong(39 * 97);
  EXPECT_ERROR(features->features(0, wrong), Exit::failure, "98 frames of 39 numbers");
}

TEST(FrameFeatures, RefusesWhatItDoesNotKnow) {
  const TemporaryFolder folder;
  SpeechShardWriter shard(folder / "train-00000.h5", "train");
  shard.append(sound(500, 100), {"u", "", ""});
  shard.publish();
  const SpeechCorpus corpus(folder.path(), "train");
  EXPECT_ERROR(open_features("fbank", corpus), Exit::usage, "there are no features \"fbank\"");
}

}  // namespace
}  // namespace hinoki::frame_features_test
