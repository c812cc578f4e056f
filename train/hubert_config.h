// The config of recipe "hubert": what configs/hubert_*.toml may say. Every field has a default that suits base models.
#pragma once
#include <string>

#include "data/span_mask.h"
#include "data/speech_batches.h"
#include "models/hubert_pretraining.h"
#include "train/run_config.h"

namespace hinoki {

struct HubertDataConfig {
  std::string corpus;          // the folder that `hinoki data speech` made
  std::string labels;          // and of its labels, from `hinoki data labels`
  double crop_seconds = 15.6;  // of a row: a random part of a longer utterance, a shorter one and zeros
  double min_seconds = 2;      // shorter utterances are left out
  bool do_normalize = false;   // every crop has mean 0 and variance 1 (large)

  template <class Visitor>
  void fields(Visitor& v) {
    v("corpus", corpus, required);
    v("labels", labels, required);
    v("crop_seconds", crop_seconds, Range{0.02, 600});
    v("min_seconds", min_seconds, Range{0, 600});
    v("do_normalize", do_normalize);
  }
};

struct HubertConfig : RunConfig {
  HubertModelConfig model;
  double gradient_multiplier = 0.1;  // of what the extractor learns from (base 0.1, large 1)
  HubertTargets targets;
  SpanMask mask;
  HubertDataConfig data;

  HubertConfig() {
    recipe = "hubert";
    run = "runs/hubert";
    learning_rate = {.peak = 5e-4, .floor = 0, .warmup = 32'000, .decay = Decay::linear};
    optimizer = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-6, .weight_decay = 0.01, .clip = 10};
  }
  template <class Visitor>
  void fields(Visitor& v) {
    visit_place(v);
    v("model", model);
    v("gradient_multiplier", gradient_multiplier, Range{0});
    v("targets", targets);
    v("mask", mask);
    v("data", data, required);
    visit_training(v);
  }
  void check() const {
    RunConfig::check();
    require<Exit::usage>(model.has_mask_embedding(),
                         "the model has no vector for masked frames: set model.mask_time_prob above 0");
    require<Exit::usage>(kSampleRate % model.hop() == 0, "the model's frames lie ", model.hop(),
                         " samples apart, which do not divide a second of ", kSampleRate);
    require<Exit::usage>(least_samples() <= row_samples(), "data.crop_seconds ", data.crop_seconds, " has room for ",
                         row_frames(), " frames; masks of ", mask.length, " frames and data.min_seconds need ",
                         seconds_of(least_samples()), " s");
    require<Exit::usage>(double(train.steps) * double(step_rows()) * data.crop_seconds < 1e15, "train.steps ",
                         train.steps, " of ", step_rows(), " rows are more than can be counted");
  }

  int64_t row_samples() const { return int64_t(data.crop_seconds * double(kSampleRate) + 0.5); }
  int64_t row_frames() const { return model.frames(row_samples()); }
  int64_t frame_rate() const { return kSampleRate / model.hop(); }  // a second
  // Of an utterance that can be used: enough for its masks, and for data.min_seconds.
  int64_t least_samples() const {
    const int64_t masks = model.least_samples() + (mask.least_frames() - 1) * model.hop();
    return std::max(masks, int64_t(data.min_seconds * double(kSampleRate) + 0.5));
  }
  SpeechRows rows() const {
    return {.samples = row_samples(),
            .hop = model.hop(),
            .least = least_samples(),
            .most = INT64_MAX,
            .normalize = data.do_normalize};
  }
};

}  // namespace hinoki
