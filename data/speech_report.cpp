#include "data/speech_report.h"

#include "core/base/check.h"
#include "data/prepare_report.h"
#include "data/speech_shard.h"

namespace hinoki {
namespace {

OrderedJson speech_split_json(const SpeechSplitReport& s) {
  return {{"shards", s.shards},           {"utterances", s.utterances},
          {"samples", s.samples},         {"hours", seconds_of(s.samples) / 3600},
          {"transcribed", s.transcribed}, {"kana", s.kana}};
}

SpeechSplitReport speech_split_of(const Json& j) {
  return {.shards = j.at("shards"),
          .utterances = j.at("utterances"),
          .samples = j.at("samples"),
          .transcribed = j.at("transcribed"),
          .kana = j.at("kana")};
}

}  // namespace

std::string left_out_text(const SpeechReport& report) {
  std::string text;
  for (size_t f = 0; f < report.left_out.size(); ++f)
    if (report.left_out[f] > 0) text += say(text.empty() ? "" : ", ", report.left_out[f], " ", kSpeechFaults[f]);
  return text.empty() ? "none" : text;
}

std::string speech_settings_json(const SpeechPreparation& s, const std::string& inputs_hash) {
  const OrderedJson j{{"kind", "speech"},
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
  OrderedJson left_out = OrderedJson::object();
  for (size_t f = 0; f < r.left_out.size(); ++f) left_out[kSpeechFaults[f]] = r.left_out[f];
  const OrderedJson j{{"settings", OrderedJson::parse(settings)},
                      {"utterances_named", r.named},
                      {"left_out", left_out},
                      {"resampled", r.resampled},
                      {"downmixed", r.downmixed},
                      {"eight_bit", r.eight_bit},
                      {"clipped_samples", r.clipped_samples},
                      {"silent_samples_inside", r.silent_samples},
                      {"train", speech_split_json(r.train)},
                      {"validation", speech_split_json(r.validation)}};
  return j.dump(2) + "\n";
}

std::optional<SpeechReport> finished_speech_report(const std::filesystem::path& folder, const std::string& settings) {
  SpeechReport report;
  report.reused = true;
  const auto read = [&](const Json& j) {
    report.named = j.at("utterances_named");
    for (size_t f = 0; f < report.left_out.size(); ++f) report.left_out[f] = j.at("left_out").at(kSpeechFaults[f]);
    report.resampled = j.at("resampled");
    report.downmixed = j.at("downmixed");
    report.eight_bit = j.at("eight_bit");
    report.clipped_samples = j.at("clipped_samples");
    report.silent_samples = j.at("silent_samples_inside");
    report.train = speech_split_of(j.at("train"));
    report.validation = speech_split_of(j.at("validation"));
  };
  const auto shard = [&](const std::string& split, int64_t n) { return speech_shard_path(folder, split, n); };
  return find_finished(folder, settings, {.read = read, .shard = shard}) ? std::optional(report) : std::nullopt;
}

}  // namespace hinoki
