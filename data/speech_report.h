// prepare.json of a speech corpus: how it was made and what came of it. Written last: a folder that has it is finished.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "data/speech_prepare.h"

namespace hinoki {

// All that decides the shards' bytes, as far as it can be known without opening the sounds.
std::string speech_settings_json(const SpeechPreparation& settings, const std::string& inputs_hash);
std::string speech_report_json(const std::string& settings, const SpeechReport& report);
// The report of a finished corpus if it has these settings; nothing if there is none. Other settings are an error.
std::optional<SpeechReport> finished_speech_report(const std::filesystem::path& folder, const std::string& settings);
// "2 silent, 1 too_long", or "none".
std::string left_out_text(const SpeechReport& report);

}  // namespace hinoki
