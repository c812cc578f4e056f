// From sound to text with a fine-tuned model.
#pragma once
#include <functional>
#include <span>

#include "data/ctc_vocabulary.h"
#include "models/hugging_face_hubert.h"
#include "train/placement.h"
#include "train/transcript.h"

namespace hinoki {

// Recordings of up to window_seconds are heard whole. Longer ones are heard in windows of that length; what comes out
// within margin_seconds of a border between two is not used but taken from the window that reaches further, so every
// frame knows as much of what is around it. The text is cut into segments at pauses (models/ctc_segments.h).
struct TranscriberOptions {
  int64_t beam = 0;  // of the prefix beam search; 0: greedy
  double window_seconds = 20, margin_seconds = 2;
};

class Transcriber {
 public:
  // A snapshot of recipe "ctc" or a HubertForCTC of transformers with its vocabulary. Exit::usage or Exit::data where
  // it is something else.
  Transcriber(const std::string& folder, const Placement& where, const TranscriberOptions& options);

  // samples at 16 kHz in [-1, 1). `progress` gets the share of them that has been heard.
  Transcript operator()(std::span<const float> samples, const std::function<void(double)>& progress = {}) const;
  // One frame's worth: less has no text.
  double least_seconds() const;

 private:
  Tensor hear(std::span<const float> samples) const;  // logits [frames, vocabulary]
  TranscriptSegment decode(const Tensor& logits, int64_t first, double seconds) const;

  const TranscriberOptions options_;
  const LoadedHubert model_;
  const CtcVocabulary vocabulary_;
};

}  // namespace hinoki
