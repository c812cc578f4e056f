// A corpus of made-up speech for unit tests: utterances that go through a few vowels, each a sum of sines with noise, so
// that neighbouring frames tell of each other.
#pragma once
#include <cmath>
#include <filesystem>

#include "core/base/philox.h"
#include "data/codebook.h"
#include "data/frame_features.h"
#include "data/speech_shard.h"

namespace hinoki::test {

// `seconds` of utterance number `n`.
inline std::vector<int16_t> spoken(uint64_t n, double seconds) {
  std::vector<int16_t> x(size_t(seconds * double(kSampleRate)), 0);
  double phase[2] = {0, 0};
  for (size_t i = 0; i < x.size(); ++i) {
    const uint64_t vowel = philox({.seed = 1, .site = n}, i / 2400)[0] % 5;  // of 150 ms
    const double hertz[5][2] = {{240, 2400}, {320, 1900}, {500, 1500}, {730, 1090}, {300, 870}};
    for (int k = 0; k < 2; ++k) phase[k] += 2 * M_PI * hertz[vowel][k] / double(kSampleRate);
    const double noise = double(unit_float(philox({.seed = 2, .site = n}, i)[0])) - 0.5;
    x[i] = int16_t(6000 * std::sin(phase[0]) + 4000 * std::sin(phase[1]) + 400 * noise);
  }
  return x;
}

// Utterances of 0.6 to 1.5 s: `train` of them in two shards, `validation` in one.
inline void write_spoken_corpus(const std::filesystem::path& folder, int64_t train = 20, int64_t validation = 6) {
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* split, int64_t shard, int64_t first, int64_t end) {
    SpeechShardWriter writer(speech_shard_path(folder, split, shard), split);
    for (int64_t u = first; u < end; ++u)
      writer.append(spoken(uint64_t(u), 0.6 + 0.1 * double(u % 10)), {say("speaker/", u), "", ""});
    writer.publish();
  };
  write("train", 0, 0, train / 2);
  write("train", 1, train / 2, train);
  if (validation > 0) write("validation", 0, 1000, 1000 + validation);
}

// Centres that are frames of the corpus themselves, far apart in it.
inline Codebook codebook_of(const FrameFeatures& features, int64_t clusters) {
  Codebook book{.features = features.kind(), .rate = features.rate(), .clusters = clusters, .dim = features.dim(),
                .corpus = features.corpus().hash(), .centres = {}};
  for (int64_t c = 0; c < clusters; ++c) {
    const int64_t u = c % features.corpus().utterances(), frames = features.frames(u);
    std::vector<float> x(size_t(frames * features.dim()));
    features.features(u, x);
    const auto from = x.begin() + (7 + 11 * c) % frames * features.dim();
    book.centres.insert(book.centres.end(), from, from + features.dim());
  }
  return book;
}

}  // namespace hinoki::test
