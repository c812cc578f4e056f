// A shard of speech: one HDF5 file of utterances at 16 kHz, one channel.
//
//   samples           int16: all utterances, one after the other
//   utterance_ends    int64: where each utterance ends in `samples`, exclusive
//   texts             uint8: of each utterance its id, transcript and kana, in UTF-8, each ended by a zero byte; what
//                     is not known is empty
//   text_ends         int64: where the texts of each utterance end in `texts`, exclusive
//   checksums         uint8 [utterances, 16]: XXH3-128 of the samples of each utterance, as stored
//   text_checksums    uint8 [utterances, 16]: and of its texts
//
// and attributes: format, version, split, sample_rate, utterances, samples, transcribed, kana (how many utterances have
// one), utterance_ends_checksum, text_ends_checksum, and audio (XXH3-128 of all rows of `checksums`).
//
// It is written under a temporary name, closed, synced, renamed: a file with the final name is whole.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/hash128.h"
#include "data/hdf5.h"

namespace hinoki {

inline constexpr int64_t kSampleRate = 16000;
inline double seconds_of(int64_t samples) { return double(samples) / double(kSampleRate); }
inline constexpr int64_t kSpeechShardVersion = 1;
inline constexpr int64_t kLongestText = 1 << 20;  // bytes of an id, of a transcript, of a kana transcript

// What is known of an utterance beside its sound. UTF-8 without zero bytes; empty: not known.
struct UtteranceTexts {
  std::string id, transcript, kana;
};

std::filesystem::path speech_shard_path(const std::filesystem::path& folder, const std::string& split, int64_t number);

class SpeechShardWriter {
 public:
  SpeechShardWriter(const std::filesystem::path& path, const std::string& split);
  SpeechShardWriter(SpeechShardWriter&&) = default;

  void append(std::span<const int16_t> samples, const UtteranceTexts& texts);
  int64_t samples() const { return samples_; }
  int64_t utterances() const { return utterances_; }
  void publish();  // from here on the shard is there under its name

 private:
  void write_index();

  std::filesystem::path path_, temporary_;
  std::string split_;
  Hdf5File file_;
  Hdf5Dataset samples_data_, ends_data_, texts_data_, text_ends_data_, checksums_data_, text_checksums_data_;
  std::vector<int64_t> ends_, text_ends_;  // not yet written, as are the next three
  std::vector<uint8_t> checksums_, text_checksums_, texts_;
  Hasher128 ends_hash_, text_ends_hash_, audio_hash_;
  int64_t samples_ = 0, utterances_ = 0, text_bytes_ = 0, transcribed_ = 0, kana_ = 0;
};

}  // namespace hinoki
