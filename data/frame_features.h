// Speech as frames of features, whichever they are: what clusters are made from and labels are given to.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "data/speech_corpus.h"

namespace hinoki {

class FrameFeatures {
 public:
  virtual ~FrameFeatures() = default;
  virtual std::string kind() const = 0;         // names what is in a frame, to the last setting: written into codebooks
  virtual int64_t dim() const = 0;              // numbers of a frame
  virtual int64_t rate() const = 0;             // frames a second
  virtual int64_t frames(int64_t u) const = 0;  // of utterance `u`; 0 if it is too short for one
  // Fills `out` with [frames(u), dim()]. Safe from several threads. Errors are those of SpeechCorpus::read.
  virtual void features(int64_t u, std::span<float> out) const = 0;
  virtual const SpeechCorpus& corpus() const = 0;
};

// The features that `spec` names, of the corpus, which must live as long. "mfcc": 39 numbers at 100 frames a second
// (kernels/mfcc.h). Anything else is Exit::usage.
std::unique_ptr<FrameFeatures> open_features(const std::string& spec, const SpeechCorpus& corpus);

}  // namespace hinoki
