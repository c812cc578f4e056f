// A prepared speech corpus, read: the shards of one split as a row of utterances. Each is checked against its checksum
// whenever it is read; in memory are 16 bytes an utterance. Reading is safe from several threads.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/hash128.h"
#include "data/hdf5.h"
#include "data/speech_shard.h"

namespace hinoki {

class SpeechCorpus {
 public:
  // `folder` as `hinoki data speech` left it, `split` "train" or "validation".
  SpeechCorpus(const std::filesystem::path& folder, const std::string& split);

  struct Range {
    int64_t begin, end;
  };

  int64_t utterances() const { return utterances_; }
  int64_t shards() const { return int64_t(shards_.size()); }
  Range shard(int64_t n) const;  // its utterances
  int64_t transcribed() const { return transcribed_; }  // utterances with a transcript
  int64_t with_kana() const { return kana_; }
  int64_t total_samples() const { return samples_; }
  int64_t longest() const { return longest_; }  // samples of the longest utterance
  double hours() const { return seconds_of(samples_) / 3600; }
  const std::filesystem::path& folder() const { return folder_; }
  // Names the sound: number, order, borders and samples of the utterances. Transcripts do not change it, so labels that
  // were made from the sound stay with it.
  const std::string& hash() const { return hash_; }

  int64_t samples(int64_t u) const;  // of utterance `u`, at kSampleRate
  // All samples(u) of them, in [-1, 1). What is damaged on the disk is Exit::data and names the file and the utterance.
  void read(int64_t u, std::span<float> out) const;
  void read(int64_t u, std::span<int16_t> out) const;  // as stored
  std::string id(int64_t u) const { return texts(u).id; }
  std::string transcript(int64_t u) const { return texts(u).transcript; }
  std::string kana(int64_t u) const { return texts(u).kana; }
  UtteranceTexts texts(int64_t u) const;
  // Reads everything once, so that damage is found before a long run and not in the middle of it.
  void verify() const;

 private:
  struct Shard {
    Hdf5File file;
    Hdf5Dataset samples, texts, checksums, text_checksums;
    std::vector<int64_t> ends, text_ends;
    int64_t first = 0;  // number of its first utterance
  };
  struct Place {
    const Shard& shard;
    int64_t row;
  };
  void open(const std::filesystem::path& path, const std::string& split);
  Place place(int64_t u) const;
  static Range range(const std::vector<int64_t>& ends, int64_t row);

  std::filesystem::path folder_;
  std::string hash_;
  Hasher128 hasher_;
  std::vector<Shard> shards_;
  int64_t utterances_ = 0, samples_ = 0, longest_ = 0, transcribed_ = 0, kana_ = 0;
};

}  // namespace hinoki
