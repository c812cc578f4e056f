#include "data/speech_report.h"

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "data/prepare_report.h"
#include "data/speech_shard.h"
#include "data/token_shard.h"

namespace hinoki {
namespace {

using Ordered = nlohmann::ordered_json;  // keeps the order in which people read it

constexpr int64_t kLargestReport = 1 << 20;

double seconds_of(int64_t samples) { return double(samples) / double(kSampleRate); }

Ordered split_json(const SpeechSplitReport& s) {
  return {{"shards", s.shards},           {"utterances", s.utterances},
          {"samples", s.samples},         {"hours", seconds_of(s.samples) / 3600},
          {"transcribed", s.transcribed}, {"kana", s.kana}};
}

SpeechSplitReport split_of(const Json& j) {
  return {.shards = j.at("shards"),
          .utterances = j.at("utterances"),
          .samples = j.at("samples"),
          .transcribed = j.at("transcribed"),
          .kana = j.at("kana")};
}

bool all_there(const std::filesystem::path& folder, const std::string& split, int64_t shards) {
  for (int64_t n = 0; n < shards; ++n)
    if (!std::filesystem::exists(speech_shard_path(folder, split, n))) return false;
  return true;
}

}  // namespace

std::string left_out_text(const SpeechReport& report) {
  std::string text;
  for (size_t f = 0; f < report.left_out.size(); ++f)
    if (report.left_out[f] > 0) text += say(text.empty() ? "" : ", ", report.left_out[f], " ", kSpeechFaults[f]);
  return text.empty() ? "none" : text;
}

std::string speech_settings_json(const SpeechPreparation& s, const std::string& inputs_hash) {
  const Ordered j{{"kind", "speech"},
                  {"sample_rate", kSampleRate},
                  {"min_seconds", s.limits.min_seconds},
                  {"max_seconds", s.limits.max_seconds},
                  {"silence_dbfs", s.limits.silence_dbfs},
                  {"faults", s.on_fault == OnFault::fail ? "fail" : "skip"},
                  {"validation_fraction", s.validation_fraction},
                  {"shard_samples", s.shard_samples},
                  {"shard_version", kSpeechShardVersion},
                  {"inputs", inputs_hash}};
  return j.dump();
}

std::string speech_report_json(const std::string& settings, const SpeechReport& r) {
  Ordered left_out = Ordered::object();
  for (size_t f = 0; f < r.left_out.size(); ++f) left_out[kSpeechFaults[f]] = r.left_out[f];
  const Ordered j{{"settings", Ordered::parse(settings)},
                  {"utterances_named", r.named},
                  {"left_out", left_out},
                  {"resampled", r.resampled},
                  {"downmixed", r.downmixed},
                  {"eight_bit", r.eight_bit},
                  {"clipped_samples", r.clipped_samples},
                  {"silent_samples_inside", r.silent_samples},
                  {"train", split_json(r.train)},
                  {"validation", split_json(r.validation)}};
  return j.dump(2) + "\n";
}

std::optional<SpeechReport> finished_speech_report(const std::filesystem::path& folder, const std::string& settings) {
  const auto path = folder / kPrepareReport;
  if (!std::filesystem::exists(path) || std::filesystem::exists(folder / kUnfinished)) return std::nullopt;
  SpeechReport report;
  try {
    const Json j = parse_json(read_file(path.string(), kLargestReport), path.string());
    const Json before = j.at("settings"), now = Json::parse(settings);
    for (const auto& [key, value] : now.items())
      require<Exit::usage>(before.contains(key) && before[key] == value, folder, " already holds a corpus, made with ",
                           key, " = ", before.value(key, Json()).dump(), " and not ", value.dump(),
                           "; choose another --output or add --overwrite");
    report.named = j.at("utterances_named");
    for (size_t f = 0; f < report.left_out.size(); ++f) report.left_out[f] = j.at("left_out").at(kSpeechFaults[f]);
    report.resampled = j.at("resampled");
    report.downmixed = j.at("downmixed");
    report.eight_bit = j.at("eight_bit");
    report.clipped_samples = j.at("clipped_samples");
    report.silent_samples = j.at("silent_samples_inside");
    report.train = split_of(j.at("train"));
    report.validation = split_of(j.at("validation"));
  } catch (const Json::exception& e) {
    fail<Exit::data>(path, " is damaged: ", e.what(), "; add --overwrite to make the corpus again");
  }
  if (!all_there(folder, "train", report.train.shards) || !all_there(folder, "validation", report.validation.shards))
    return std::nullopt;
  report.reused = true;
  return report;
}

}  // namespace hinoki
