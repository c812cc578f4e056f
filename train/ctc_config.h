// The config of recipe "ctc": what configs/hubert_ctc_*.toml may say. The defaults are those of fairseq's base_10h, but
// for the end of the decay: the last step.
#pragma once
#include <string>

#include "data/span_mask.h"
#include "data/transcribed_speech.h"
#include "models/hubert_config.h"
#include "train/run_config.h"

namespace hinoki {

constexpr auto enum_names(TranscriptUnit) { return std::array{"characters", "kana"}; }
constexpr auto enum_names(ForeignCharacters) { return std::array{"fail", "unknown"}; }

struct CtcDataConfig {
  std::string corpus = {};                              // the folder that `hinoki data speech` made
  TranscriptUnit unit = TranscriptUnit::characters;     // which of its transcripts
  bool nfkc = true;                                     // Unicode's compatibility composition of transcripts
  bool punctuation = false;                             // is learned, and counts as an error
  std::string vocabulary = {};                          // a folder with a vocab.json; empty: made of the transcripts
  int64_t least_count = 1;                              // of a character to be in it
  ForeignCharacters foreign = ForeignCharacters::fail;  // outside the vocabulary: an error, or <unk> is learned
  double max_seconds = 15.6;                            // of a row: longer utterances are left out
  double hours = 0;                                     // of the training split that are used; 0: all
  bool do_normalize = false;                            // every utterance has mean 0 and variance 1 (large)

  template <class Visitor>
  void fields(Visitor& v) {
    v("corpus", corpus, required);
    v("unit", unit);
    v("nfkc", nfkc);
    v("punctuation", punctuation);
    v("vocabulary", vocabulary);
    v("least_count", least_count, Range{1});
    v("foreign", foreign);
    v("max_seconds", max_seconds, Range{0.02, 600});
    v("hours", hours, Range{0});
    v("do_normalize", do_normalize);
  }
  TranscriptRules transcripts() const { return {.unit = unit, .nfkc = nfkc, .punctuation = punctuation}; }
};

struct CtcConfig : RunConfig {
  HubertModelConfig model;
  bool freeze_extractor = true;           // the convolutions keep what they have learned before
  int64_t freeze_encoder_steps = 10'000;  // and all below the new output layer does, for so long
  SpanMask mask = {.probability = 0.75, .length = 10, .min_spans = 2};         // of frames; probability 0: none
  SpanMask channel_mask = {.probability = 0.5, .length = 64, .min_spans = 1};  // of channels, in all frames of a row
  CtcDataConfig data;
  int64_t sample_utterances = 4;  // that are shown beside what was recognised

  CtcConfig() {
    recipe = "ctc";
    run = "runs/ctc";
    train.steps = 25'000;
    learning_rate = {.peak = 2e-5, .floor = 1e-6, .start = 2e-7, .warmup = 8'000, .decay = Decay::exponential};
    optimizer = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0, .clip = 1};
  }
  template <class Visitor>
  void fields(Visitor& v) {
    visit_place(v);
    v("model", model);
    v("freeze_extractor", freeze_extractor);
    v("freeze_encoder_steps", freeze_encoder_steps, Range{0});
    v("mask", mask);
    v("channel_mask", channel_mask);
    v("data", data, required);
    visit_training(v);
    v("sample_utterances", sample_utterances, Range{0});
  }
  void check() const {
    RunConfig::check();
    require<Exit::usage>(mask.probability == 0 || model.has_mask_embedding(),
                         "mask.probability is above 0, but the model has no vector for masked frames: set "
                         "model.mask_time_prob above 0");
    require<Exit::usage>(channel_mask.probability == 0 || channel_mask.length <= model.hidden_size,
                         "channel_mask.length ", channel_mask.length, " is more than the ", model.hidden_size,
                         " channels of the model");
    require<Exit::usage>(model.frames(row_samples()) >= 1, "data.max_seconds ", data.max_seconds,
                         " is less than a frame of the model");
  }

  int64_t row_samples() const { return int64_t(data.max_seconds * double(kSampleRate) + 0.5); }
  TranscribedRules rules() const {
    return {.transcripts = data.transcripts(),
            .foreign = data.foreign,
            .least = model.least_samples(),
            .most = row_samples(),
            .hours = data.hours,
            .seed = uint64_t(train.seed),
            .frames = [m = model](int64_t samples) { return m.frames(samples); }};
  }
};

}  // namespace hinoki
