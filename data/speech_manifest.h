// Speech inputs that name sounds, line by line (data/speech_source.h says how). A line that cannot be taken is an entry
// with an error; a manifest that cannot be read is an Error.
#pragma once
#include <filesystem>
#include <memory>

#include "data/speech_source.h"

namespace hinoki {

std::unique_ptr<SpeechInput> open_tsv(const std::filesystem::path& path);
std::unique_ptr<SpeechInput> open_speech_jsonl(const std::filesystem::path& path);
std::unique_ptr<SpeechInput> open_kaldi(const std::filesystem::path& wav_scp);

}  // namespace hinoki
