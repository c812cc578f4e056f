// The utterances that inputs name, one at a time in a fixed order. An input is
//
//   DIR                a Kaldi folder if it holds wav.scp; else all .wav .flac .ogg .oga .opus below it, sorted by
//   path,
//                      without hidden ones and without following links to folders
//   NAME.scp           Kaldi: "id path"; `text` and `kana` beside it: "id transcript". All sorted by id (LC_ALL=C sort)
//   NAME.tsv           path, transcript, id, kana between tabs, all but the path optional; or in the order that a first
//                      line of such names gives, whose other columns are passed over
//   NAME.jsonl         objects with the strings "path" and, optional, "transcript", "id", "kana"
//   a sound file
//
// Manifests may end in .gz or .zst. A relative path counts from its manifest's folder. An utterance without an id takes
// its path, as it is written, without the extension.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/speech_fault.h"
#include "data/speech_shard.h"

namespace hinoki {

struct SpeechEntry {
  std::string place;  // where it is named: "manifest:line", or the file itself
  std::filesystem::path path;
  UtteranceTexts texts;
  std::optional<SpeechError> error;  // it cannot be taken
};

// The utterances of one input.
class SpeechInput {
 public:
  virtual ~SpeechInput() = default;
  virtual std::optional<SpeechEntry> next() = 0;
};

class SpeechSource {
 public:
  explicit SpeechSource(std::vector<std::filesystem::path> inputs) : inputs_(std::move(inputs)) {}
  std::optional<SpeechEntry> next();  // nothing after the last one

 private:
  std::vector<std::filesystem::path> inputs_;
  size_t next_input_ = 0;
  std::unique_ptr<SpeechInput> input_;
};

std::unique_ptr<SpeechInput> open_speech_input(const std::filesystem::path& input);
// Names what the inputs say without opening a sound: the manifests' bytes; of folders, the files' names and sizes.
std::string hash_speech_inputs(const std::vector<std::filesystem::path>& inputs);

// A transcript as it is stored: well-formed, on one line, without control characters, and without spaces at its ends.
// Throws SpeechError.
std::string clean_speech_text(std::string_view raw, const char* what);

}  // namespace hinoki
