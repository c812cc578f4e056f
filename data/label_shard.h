// A shard of labels: one HDF5 file that gives the frames of the utterances of one speech shard their clusters.
//
//   labels            uint8 (up to 256 clusters), uint16 (up to 65536) or uint32: all utterances, one after the other
//   utterance_ends    int64: where each utterance ends in `labels`, exclusive; one too short for a frame is empty
//   checksums         uint8 [utterances, 16]: XXH3-128 of each utterance's labels as 32-bit integers
//   silences          int32: samples of each utterance's longest silent stretch
//   counts            int64 [clusters]: how many labels name each cluster
//
// and attributes: format, version, split, features (their kind), rate (labels a second), clusters, codebook (hash),
// corpus (hash of the split's sound), first (number of its first utterance), utterances, and index_checksum (XXH3-128
// of utterance_ends, checksums, silences and counts, one after the other).
//
// It is written under a temporary name, closed, synced, renamed: a file with the final name is whole.
#pragma once
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/hash128.h"
#include "data/hdf5.h"

namespace hinoki {

inline constexpr int64_t kLabelShardVersion = 1;

// What labels were made of and with: equal in all shards of a folder.
struct LabelOrigin {
  std::string features;  // FrameFeatures::kind()
  std::string codebook;  // Codebook::hash()
  int64_t rate = 0, clusters = 0;
  bool operator==(const LabelOrigin&) const = default;
};

struct LabelShardInfo {
  LabelOrigin origin;
  std::string split, corpus;           // the split's SpeechCorpus::hash()
  int64_t first = 0, utterances = 0;  // of the split
  bool operator==(const LabelShardInfo&) const = default;
};

// Everything of a shard but the labels themselves.
struct LabelIndex {
  std::vector<int64_t> ends;
  std::vector<uint8_t> checksums;  // [utterances, 16]
  std::vector<int32_t> silences;
  std::vector<int64_t> counts;

  std::string checksum() const;
};

void write_label_shard(const std::filesystem::path& path, const LabelShardInfo& info, const LabelIndex& index,
                       std::span<const int32_t> labels);

struct LabelShard {
  LabelShardInfo info;
  LabelIndex index;
  Hdf5File file;
  Hdf5Dataset labels;
};
// What is no shard of labels, of another version, or damaged is Exit::data.
LabelShard open_label_shard(const std::filesystem::path& path);

std::array<uint8_t, 16> label_checksum(std::span<const int32_t> labels);

}  // namespace hinoki
