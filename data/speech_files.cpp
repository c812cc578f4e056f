#include "data/speech_files.h"

#include <algorithm>

namespace hinoki {
namespace {

namespace fs = std::filesystem;

SpeechEntry entry_of(const fs::path& path, const fs::path& name) {
  SpeechEntry entry{.place = path.string(), .path = path, .texts = {}, .error = {}};
  try {
    entry.texts.id = clean_speech_text(fs::path(name).replace_extension().string(), "path");
  } catch (const SpeechError& e) {
    entry.error = e;
  }
  return entry;
}

}  // namespace

bool has_sound_name(const fs::path& path) {
  std::string kind = path.extension().string();
  for (char& c : kind)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return kind == ".wav" || kind == ".flac" || kind == ".ogg" || kind == ".oga" || kind == ".opus";
}

SpeechFolder::SpeechFolder(fs::path root) : root_(std::move(root)) { enter(root_); }

void SpeechFolder::enter(const fs::path& folder) {
  try {
    std::deque<fs::path> entries;
    for (const auto& entry : fs::directory_iterator(folder))
      if (!entry.path().filename().string().starts_with('.')) entries.push_back(entry.path());
    std::sort(entries.begin(), entries.end());
    waiting_.push_back(std::move(entries));
  } catch (const fs::filesystem_error& e) {
    fail<Exit::data>("cannot list the folder ", folder, ": ", e.code().message(),
                     "; give yourself permission (chmod u+rx) or leave it out of --input");
  }
}

std::optional<SpeechEntry> SpeechFolder::next() {
  while (!waiting_.empty()) {
    if (waiting_.back().empty()) {
      waiting_.pop_back();
      continue;
    }
    const fs::path path = std::move(waiting_.back().front());
    waiting_.back().pop_front();
    std::error_code unknown;
    if (fs::is_directory(fs::symlink_status(path, unknown)))
      enter(path);
    else if (has_sound_name(path))
      return entry_of(path, path.lexically_relative(root_));
  }
  return std::nullopt;
}

std::optional<SpeechEntry> SpeechFile::next() {
  if (std::exchange(given_, true)) return std::nullopt;
  return entry_of(path_, path_.filename());
}

}  // namespace hinoki
