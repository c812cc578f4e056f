// Training examples of speech as a function of their position: rows of equal length, so that the shapes of a run never
// change. A row is one utterance: of a long one a random part (a crop), a short one ends in zeros. Each epoch visits
// every utterance once, in the order of a keyed shuffle.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "data/speech_corpus.h"

namespace hinoki {

struct SpeechRows {
  int64_t samples = 250'000;  // of a row
  int64_t hop = 320;          // a crop begins on a multiple of it, where the model's frames and their labels lie
  int64_t least = 32'000;     // shorter utterances are left out
  int64_t most = INT64_MAX;   // and longer ones
  bool normalize = false;     // each row has mean 0 and variance 1, as transformers' processor makes it
};

// A part of an utterance: samples [begin, begin + samples) of it.
struct Crop {
  int64_t utterance = 0, begin = 0, samples = 0;
};

// Fills `row` with a part of an utterance and zeros behind it.
void read_crop(const SpeechCorpus& corpus, const Crop& crop, bool normalize, std::span<float> row);
// (x - mean) / sqrt(variance + 1e-7), as transformers' Wav2Vec2FeatureExtractor computes it.
void normalize_wave(std::span<float> x);

class SpeechBatches {
 public:
  // `take(u)`, where given, says which utterances are wanted at all. Exit::data if none is left.
  SpeechBatches(const SpeechCorpus& corpus, const SpeechRows& rows, uint64_t seed,
                const std::function<bool(int64_t u)>& take = {});

  int64_t count() const { return int64_t(kept_.size()); }        // utterances of an epoch
  int64_t left_out() const { return corpus_.utterances() - count(); }
  const std::vector<int64_t>& utterances() const { return kept_; }
  double seconds() const { return seconds_of(samples_); }  // of an epoch, of rows without their zeros
  const SpeechRows& rows() const { return rows_; }

  // At `position`, counted over the whole run and all ranks.
  Crop crop(int64_t position) const;
  void fill(const Crop& crop, std::span<float> row) const { read_crop(corpus_, crop, rows_.normalize, row); }
  // The beginning of the n-th utterance, in the corpus's order: for validation.
  Crop beginning(int64_t n) const;

 private:
  const SpeechCorpus& corpus_;
  const SpeechRows rows_;
  const uint64_t seed_;
  std::vector<int64_t> kept_;
  int64_t samples_ = 0;
};

}  // namespace hinoki
