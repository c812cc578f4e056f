// The labels of a speech corpus, read: of one split, beside the corpus they belong to. Each utterance is checked against
// its checksum whenever it is read; in memory are 28 bytes an utterance. Reading is safe from several threads.
#pragma once
#include <functional>

#include "data/label_shard.h"
#include "data/speech_corpus.h"

namespace hinoki {

class LabelCorpus {
 public:
  // `folder` as `hinoki data labels` left it; `corpus` is the split they were made from and lives as long. Labels of
  // another corpus, and shards of different codebooks or rates, are Exit::data.
  LabelCorpus(const std::filesystem::path& folder, const SpeechCorpus& corpus, const std::string& split);

  const LabelOrigin& origin() const { return shards_.front().info.origin; }
  const std::filesystem::path& folder() const { return folder_; }
  int64_t clusters() const { return origin().clusters; }
  int64_t total() const { return total_; }                          // labels of the split
  const std::vector<int64_t>& counts() const { return counts_; }    // of each cluster
  int64_t labels(int64_t u) const;                                  // of utterance `u`
  int64_t longest_silence(int64_t u) const;                         // samples
  void read(int64_t u, std::span<int32_t> out) const;               // all labels(u)

  // How many labels make a frame of a model that has `rate` frames a second: its frame t takes label t x this. Rates
  // that do not divide are Exit::data.
  int64_t stride(int64_t rate) const;
  // An utterance must have a label for each of its frames(samples), and at most 0.1 s of labels more, which no frame
  // takes. Another number is Exit::data and names the utterance.
  void check_lengths(int64_t rate, const std::function<int64_t(int64_t samples)>& frames) const;

 private:
  const LabelShard& shard_of(int64_t u) const;

  std::filesystem::path folder_;
  const SpeechCorpus& corpus_;
  std::vector<LabelShard> shards_;
  std::vector<int64_t> counts_;
  int64_t total_ = 0;
};

// How evenly clusters are used.
struct LabelUsage {
  double entropy = 0;    // nats
  int64_t used = 0;      // clusters that occur
  double commonest = 0;  // share of the one that occurs most
};
LabelUsage usage_of(std::span<const int64_t> counts);

// Labels that are learned from and judged by must be of one codebook: Exit::data names both otherwise.
void require_same_codebook(const LabelCorpus& a, const LabelCorpus& b);

}  // namespace hinoki
