// prepare.json: how a corpus was made and what came of it. Written last: a folder that has it is finished.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"
#include "data/text_prepare.h"
#include "data/text_source.h"

namespace hinoki {

inline constexpr const char* kPrepareReport = "prepare.json";

// prepare.json of a finished corpus of any kind, if it was made with these settings; nothing if there is none, or if
// one of the shards that it counts is gone. Other settings are Exit::usage, a file that read() cannot make out
// Exit::data. `read` takes what the file says; the paths of the shards are `shard(split, n)`.
struct FinishedCorpus {
  std::function<void(const Json& report)> read;
  std::function<std::filesystem::path(const std::string& split, int64_t n)> shard;
};
bool find_finished(const std::filesystem::path& folder, const std::string& settings, const FinishedCorpus& corpus);

// Makes the folder, marks it as unfinished by `verb`, and removes what a killed run has left half written in it.
void begin_output(const std::filesystem::path& folder, const char* verb);

// All that decides the shards' bytes, as far as it can be known without reading: settings, tokenizer, and the inputs'
// names and sizes.
std::string settings_json(const TextPreparation& settings, const std::string& tokenizer_hash,
                          const std::vector<TextFile>& files);
std::string report_json(const std::string& settings, const TextReport& report);
// The report of a finished corpus if it has these settings; nothing if there is none. Other settings are an error.
std::optional<TextReport> finished_report(const std::filesystem::path& folder, const std::string& settings);

}  // namespace hinoki
