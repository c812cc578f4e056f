// Features that a HuBERT makes: what the second iteration's clusters are found in.
#pragma once
#include "data/frame_features.h"
#include "models/hugging_face_hubert.h"

namespace hinoki {

// The output of one layer, without masks, in frames of the model (50 a second). Long utterances go through it in chunks
// of kFeatureChunk samples, so memory is bounded.
inline constexpr int64_t kFeatureChunk = 480'000;  // 30 s

class LayerFeatures final : public FrameFeatures {
 public:
  // `layer` counts from 1, as transformers' hidden_states do.
  LayerFeatures(LoadedHubert model, int64_t layer, const SpeechCorpus& corpus, int64_t chunk = kFeatureChunk);

  std::string kind() const override { return kind_; }  // "hubert layer 6 of HASH", of the weights' names and values
  int64_t dim() const override { return config().hidden_size; }
  int64_t rate() const override { return kSampleRate / config().hop(); }
  int64_t frames(int64_t u) const override { return config().frames(corpus_.samples(u)); }
  void features(int64_t u, std::span<float> out) const override;
  const SpeechCorpus& corpus() const override { return corpus_; }

 private:
  const HubertModelConfig& config() const { return model_.config.model; }

  const LoadedHubert model_;
  const int64_t layer_, chunk_;  // samples, whole frames of them
  const SpeechCorpus& corpus_;
  const std::string kind_;
};

// open_features() of data/, and "hubert:FOLDER:layer=N": of a snapshot or a Hugging Face folder.
std::unique_ptr<FrameFeatures> open_all_features(const std::string& spec, const SpeechCorpus& corpus);

}  // namespace hinoki
