// Writes one split of a speech corpus as a row of shards.
#pragma once
#include <filesystem>
#include <optional>
#include <span>

#include "data/speech_shard.h"

namespace hinoki {

class SpeechShardsWriter {
 public:
  // A new shard begins with the first utterance after `shard_samples` samples.
  SpeechShardsWriter(std::filesystem::path folder, std::string split, int64_t shard_samples);

  void append(std::span<const int16_t> samples, const UtteranceTexts& texts);
  void finish();  // publishes the last shard and removes later ones of an earlier run

  int64_t shards() const { return shards_; }
  int64_t utterances() const { return utterances_; }
  int64_t samples() const { return samples_; }
  int64_t transcribed() const { return transcribed_; }
  int64_t with_kana() const { return kana_; }

 private:
  std::filesystem::path folder_;
  std::string split_;
  int64_t shard_samples_;
  std::optional<SpeechShardWriter> shard_;
  int64_t shards_ = 0, utterances_ = 0, samples_ = 0, transcribed_ = 0, kana_ = 0;
};

}  // namespace hinoki
