// The examples of HuBERT's pretraining: crops of utterances, which of their frames are masked, and the clusters of all.
#pragma once
#include <map>
#include <mutex>
#include <vector>

#include "data/label_corpus.h"
#include "train/hubert_config.h"

namespace hinoki {

struct HubertBatch {
  HubertInput input;
  Tensor labels;        // i32 [rows, frames], -100 behind the end of a row
  int64_t targets = 0;  // masked frames
};

// Everything is a function of the seed, the step and the row. The rows of a step that are equally long have equally
// many masked frames, as fairseq makes them: whatever more a row has is taken back at random.
class HubertExamples {
 public:
  // All must outlive it.
  HubertExamples(const HubertConfig& config, const SpeechCorpus& corpus, const LabelCorpus& labels);

  const SpeechBatches& batches() const { return batches_; }
  // Rows [first, first + rows) of the global batch of `step`. Safe from several threads.
  HubertBatch of_step(int64_t step, int64_t first, int64_t rows) const;
  // The beginnings of the utterances [first, first + rows) of those that can be used. Masks are a function of the
  // utterance alone.
  HubertBatch of_validation(int64_t first, int64_t rows) const;

 private:
  using MaskRow = std::function<void(int64_t row, std::span<int32_t> mask)>;
  HubertBatch make(const std::vector<Crop>& crops, const MaskRow& mask) const;
  int64_t frames_of(const Crop& crop) const { return config_.model.frames(crop.samples); }
  void draw(int64_t position, std::span<int32_t> mask) const;
  int64_t fewest(int64_t step, int64_t frames) const;
  RandomKey key(const char* site, int64_t step) const;

  const HubertConfig& config_;
  const SpeechCorpus& corpus_;
  const LabelCorpus& labels_;
  const SpeechBatches batches_;
  const int64_t stride_;  // labels from one frame to the next

  mutable std::mutex mutex_;
  mutable int64_t counted_step_ = -1;            // the step of:
  mutable std::map<int64_t, int64_t> fewest_;    // frames of a row -> the fewest masked ones among such rows
};

}  // namespace hinoki
