// Any bytes, as a sound file, become 16-bit samples within the limits, or a SpeechError; as a manifest (TSV, JSONL,
// Kaldi with its texts), utterances with texts fit for a shard, or an Error.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "data/audio_file.h"
#include "data/speech_manifest.h"
#include "data/utf8.h"

namespace {

using namespace hinoki;

void must(bool holds) {
  if (!holds) std::abort();
}

// Files without a disk, for the readers open files by their names.
class Files {
 public:
  Files() {
    must(mkdtemp(folder_) != nullptr);
    for (const char* name : {"wav.scp", "text"}) {
      const int file = memfd_create(name, 0);
      must(file >= 0);
      std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(file), path(name));
      (name[0] == 't' ? text_ : main_) = file;
    }
  }
  ~Files() { std::filesystem::remove_all(folder_); }

  std::filesystem::path path(const std::string& name) const { return std::filesystem::path(folder_) / name; }
  void write(std::string_view main, std::string_view text) const {
    write_one(main_, main);
    write_one(text_, text);
  }

 private:
  static void write_one(int file, std::string_view bytes) {
    must(ftruncate(file, 0) == 0 && pwrite(file, bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()));
  }

  char folder_[40] = "/tmp/hinoki-fuzz-XXXXXX";
  int main_ = -1, text_ = -1;
};

bool fit(const std::string& text) {
  return utf8_valid_until(text) == text.size() && text.find('\0') == text.npos && text.find('\n') == text.npos;
}

void check_manifest(SpeechInput& input) {
  while (const auto entry = input.next()) {
    must(!entry->place.empty());
    if (entry->error)
      must(!is_reject(entry->error->fault));
    else
      must(!entry->path.empty() && fit(entry->texts.id) && fit(entry->texts.transcript) && fit(entry->texts.kana));
  }
}

void check_sound(const std::filesystem::path& path) {
  const AudioLimits limits{.min_seconds = 0, .max_seconds = 2, .silence_dbfs = -90};
  try {
    const Audio audio = read_audio(path, limits);
    must(!audio.samples.empty() && int64_t(audio.samples.size()) <= 2 * kSampleRate + 1);
    must(audio.silent_samples < int64_t(audio.samples.size()));
  } catch (const SpeechError& e) {
    must(e.fault != SpeechFault::manifest && e.fault != SpeechFault::text && e.fault != SpeechFault::missing);
  }
}

}  // namespace

// libsndfile 1.2 forgets some of what it has allocated for a file it then refuses.
extern "C" const char* __lsan_default_suppressions() { return "leak:libvorbis\nleak:libsndfile\n"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Files files;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  // Kaldi: the two files with a zero byte between.
  const size_t cut = std::min(bytes.find('\0'), bytes.size());
  const bool kaldi = data[0] % 4 == 3;
  files.write(kaldi ? bytes.substr(0, cut) : bytes, kaldi ? bytes.substr(std::min(cut + 1, bytes.size())) : "");
  const std::filesystem::path main = files.path("wav.scp");
  if (data[0] % 4 == 0) return check_sound(main), 0;
  try {
    check_manifest(*(data[0] % 4 == 1 ? open_tsv(main) : kaldi ? open_kaldi(main) : open_speech_jsonl(main)));
  } catch (const Error& e) {
    must(e.code == Exit::data);
  }
  return 0;
}
