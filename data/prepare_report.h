// prepare.json: how a corpus was made and what came of it. Written last: a folder that has it is finished.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/text_prepare.h"
#include "data/text_source.h"

namespace hinoki {

inline constexpr const char* kPrepareReport = "prepare.json";

// All that decides the shards' bytes, as far as it can be known without reading: settings, tokenizer, and the inputs'
// names and sizes.
std::string settings_json(const TextPreparation& settings, const std::string& tokenizer_hash,
                          const std::vector<TextFile>& files);
std::string report_json(const std::string& settings, const TextReport& report);
// The report of a finished corpus if it has these settings; nothing if there is none. Other settings are an error.
std::optional<TextReport> finished_report(const std::filesystem::path& folder, const std::string& settings);

}  // namespace hinoki
