// Speech inputs that are sounds themselves: a file, or a folder of them.
#pragma once
#include <deque>
#include <filesystem>
#include <optional>
#include <vector>

#include "data/speech_source.h"

namespace hinoki {

inline constexpr const char* kSoundNames = ".wav .flac .ogg .oga .opus";
bool has_sound_name(const std::filesystem::path& path);

// Holds one folder's names at each depth, never the whole tree.
class SpeechFolder : public SpeechInput {
 public:
  explicit SpeechFolder(std::filesystem::path root);
  std::optional<SpeechEntry> next() override;

 private:
  void enter(const std::filesystem::path& folder);

  std::filesystem::path root_;
  std::vector<std::deque<std::filesystem::path>> waiting_;  // of each depth, what is still to come
};

class SpeechFile : public SpeechInput {
 public:
  explicit SpeechFile(std::filesystem::path path) : path_(std::move(path)) {}
  std::optional<SpeechEntry> next() override;

 private:
  std::filesystem::path path_;
  bool given_ = false;
};

}  // namespace hinoki
