#include "data/speech_shards_writer.h"

#include "core/base/check.h"

namespace hinoki {

SpeechShardsWriter::SpeechShardsWriter(std::filesystem::path folder, std::string split, int64_t shard_samples)
    : folder_(std::move(folder)), split_(std::move(split)), shard_samples_(shard_samples) {
  require<Exit::usage>(shard_samples > 0, "shards of ", shard_samples, " samples cannot be");
}

void SpeechShardsWriter::append(std::span<const int16_t> samples, const UtteranceTexts& texts) {
  if (!shard_) shard_.emplace(speech_shard_path(folder_, split_, shards_++), split_);
  shard_->append(samples, texts);
  ++utterances_;
  samples_ += int64_t(samples.size());
  transcribed_ += !texts.transcript.empty();
  kana_ += !texts.kana.empty();
  if (shard_->samples() < shard_samples_) return;
  shard_->publish();
  shard_.reset();
}

void SpeechShardsWriter::finish() {
  if (shard_) shard_->publish();
  shard_.reset();
  for (int64_t n = shards_; std::filesystem::remove(speech_shard_path(folder_, split_, n));) ++n;
}

}  // namespace hinoki
