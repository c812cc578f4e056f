#include "data/speech_batches.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "data/order.h"

namespace hinoki {
namespace {

constexpr uint64_t kOrderSite = hash_name("speech/order"), kCropSite = hash_name("speech/crop");

}  // namespace

void normalize_wave(std::span<float> x) {
  double sum = 0, squares = 0;
  for (const float v : x) sum += double(v);
  const double mean = sum / double(x.size());
  for (const float v : x) squares += (double(v) - mean) * (double(v) - mean);
  const double scale = 1 / std::sqrt(squares / double(x.size()) + 1e-7);
  for (float& v : x) v = float((double(v) - mean) * scale);
}

void read_crop(const SpeechCorpus& corpus, const Crop& crop, bool normalize, std::span<float> row) {
  require(crop.samples <= int64_t(row.size()) && crop.begin + crop.samples <= corpus.samples(crop.utterance),
          "samples ", crop.begin, " to ", crop.begin + crop.samples, " of utterance ", crop.utterance,
          " do not fit into a row of ", row.size());
  thread_local std::vector<float> whole;
  whole.resize(size_t(corpus.samples(crop.utterance)));
  corpus.read(crop.utterance, std::span(whole));
  std::copy_n(whole.begin() + crop.begin, crop.samples, row.begin());
  if (normalize) normalize_wave(row.first(size_t(crop.samples)));
  std::fill(row.begin() + crop.samples, row.end(), 0.0f);
}

SpeechBatches::SpeechBatches(const SpeechCorpus& corpus, const SpeechRows& rows, uint64_t seed,
                             const std::function<bool(int64_t)>& take)
    : corpus_(corpus), rows_(rows), seed_(seed) {
  require(rows.samples >= 1 && rows.hop >= 1, "rows of ", rows.samples, " samples with a hop of ", rows.hop);
  for (int64_t u = 0; u < corpus.utterances(); ++u) {
    const int64_t samples = corpus.samples(u);
    if (samples < rows.least || samples > rows.most || (take && !take(u))) continue;
    kept_.push_back(u);
    samples_ += std::min(samples, rows.samples);
  }
  require<Exit::data>(!kept_.empty(), corpus.folder(), ": none of ", corpus.utterances(),
                      " utterances can be used; the longest has ", seconds_of(corpus.longest()), " s, wanted are ",
                      seconds_of(rows.least),
                      rows.most == INT64_MAX ? " s or more" : say(" to ", seconds_of(rows.most), " s"),
                      take ? ", with all that training needs of them" : "");
}

Crop SpeechBatches::crop(int64_t position) const {
  require(position >= 0, "there is no example at position ", position);
  const int64_t epoch = position / count();
  const Shuffle shuffle{seed_, kOrderSite, uint64_t(epoch), count()};
  Crop crop{.utterance = kept_[size_t(shuffle(position % count()))]};
  const int64_t has = corpus_.samples(crop.utterance);
  crop.samples = std::min(has, rows_.samples);
  const uint64_t places = uint64_t((has - crop.samples) / rows_.hop + 1);
  const uint64_t bits = philox({.seed = seed_, .site = kCropSite}, uint64_t(position))[0];
  crop.begin = int64_t(bits * places >> 32) * rows_.hop;
  return crop;
}

Crop SpeechBatches::beginning(int64_t n) const {
  const int64_t u = kept_.at(size_t(n));
  return {.utterance = u, .begin = 0, .samples = std::min(corpus_.samples(u), rows_.samples)};
}

}  // namespace hinoki
