#include "data/speech_source.h"

#include <algorithm>

#include "core/base/file.h"
#include "core/base/hash128.h"
#include "data/speech_files.h"
#include "data/speech_manifest.h"
#include "data/text_clean.h"

namespace hinoki {

namespace fs = std::filesystem;

std::string clean_speech_text(std::string_view raw, const char* what) {
  std::string spaced(raw), clean;
  for (char& c : spaced)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  int64_t replaced = 0;
  if (const auto broken = clean_line(spaced, {.broken = BrokenText::fail, .nfkc = false}, clean, replaced))
    refuse(SpeechFault::text, "broken UTF-8 at byte ", *broken, " of its ", what, "; convert it (iconv -t UTF-8)");
  const size_t begin = clean.find_first_not_of(' ');
  return begin == clean.npos ? "" : clean.substr(begin, clean.find_last_not_of(' ') + 1 - begin);
}

std::unique_ptr<SpeechInput> open_speech_input(const fs::path& input) {
  std::error_code error;
  const fs::file_status status = fs::status(input, error);
  require<Exit::data>(fs::exists(status), "cannot read the input ", input, ": ",
                      error ? error.message() : "there is no such file or folder");
  if (fs::is_directory(status)) {
    if (fs::exists(input / "wav.scp")) return open_kaldi(input / "wav.scp");
    return std::make_unique<SpeechFolder>(input);
  }
  fs::path name = input.filename();
  if (name.extension() == ".gz" || name.extension() == ".zst") name = name.stem();
  const fs::path kind = name.extension();
  if (kind == ".scp") return open_kaldi(input);
  if (kind == ".tsv") return open_tsv(input);
  if (kind == ".jsonl" || kind == ".ndjson") return open_speech_jsonl(input);
  if (has_sound_name(input)) return std::make_unique<SpeechFile>(input);
  fail<Exit::usage>("the input ", input, " is neither a folder, nor a manifest (.tsv, .jsonl, .scp), nor a sound (",
                    kSoundNames, ")");
}

std::optional<SpeechEntry> SpeechSource::next() {
  for (;;) {
    if (!input_) {
      if (next_input_ == inputs_.size()) return std::nullopt;
      input_ = open_speech_input(inputs_[next_input_++]);
    }
    if (auto entry = input_->next()) return entry;
    input_.reset();
  }
}

std::string hash_speech_inputs(const std::vector<fs::path>& inputs) {
  Hasher128 hash;
  const auto add = [&](const std::string& line) { hash.add(line.data(), line.size()); };
  const auto add_file = [&](const fs::path& path) {
    add(say("manifest\t", path.filename().string(), "\n"));
    read_blocks(path.string(), 1 << 20, [&](int64_t, std::span<const std::byte> block) { hash.add(block); });
  };
  for (const fs::path& input : inputs) {
    open_speech_input(input);  // says what is wrong with it
    const bool kaldi = fs::is_directory(input) && fs::exists(input / "wav.scp");
    if (fs::is_directory(input) && !kaldi) {
      SpeechFolder folder(input);
      while (const auto entry = folder.next()) {
        std::error_code unknown;
        const uintmax_t size = fs::file_size(entry->path, unknown);
        add(say(entry->path.lexically_relative(input).string(), "\t", unknown ? 0 : size, "\n"));
      }
      continue;
    }
    const fs::path manifest = kaldi ? input / "wav.scp" : input;
    add_file(manifest);
    for (const char* beside : {"text", "kana"})
      if (manifest.string().find(".scp") != std::string::npos && fs::exists(manifest.parent_path() / beside))
        add_file(manifest.parent_path() / beside);
  }
  return hash.hex();
}

}  // namespace hinoki
