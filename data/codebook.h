// Centres that turn frames of features into labels, as a file: HDF5 with
//
//   centres   f32 [clusters, dim]
//
// and attributes: format ("hinoki codebook"), version, features (their kind), rate (frames a second), clusters, dim,
// corpus (hash of the speech that the centres were fitted to), hash (of all of these and the centres).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace hinoki {

inline constexpr int64_t kCodebookVersion = 1;
inline constexpr int64_t kMostClusters = 1 << 20, kMostDimensions = 1 << 16;

struct Codebook {
  std::string features;  // FrameFeatures::kind()
  int64_t rate = 0, clusters = 0, dim = 0;
  std::string corpus;          // SpeechCorpus::hash() of what it was fitted to
  std::vector<float> centres;  // [clusters, dim]

  std::string hash() const;  // names the codebook: labels carry it
};

void write_codebook(const std::filesystem::path& path, const Codebook& codebook);  // whole or not at all
// What is no codebook, of another version, or damaged is Exit::data.
Codebook read_codebook(const std::filesystem::path& path);

}  // namespace hinoki
