#include "train/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>

#include "core/base/check.h"
#include "core/base/json.h"
#include "core/base/log.h"

namespace hinoki {
namespace {

std::string in_json(int64_t value) { return std::to_string(value); }

std::string in_json(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  char buffer[64];
  const std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;  // stays a float for every reader
}

std::string in_json(const std::string& value) {
  return Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string_view content(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::optional<int64_t> step_of_line(std::string_view line) {
  const Json record = Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false);
  if (!record.is_object() || !record.contains("step") || !record["step"].is_number_integer()) return std::nullopt;
  return record["step"].get<int64_t>();
}

// Calls f(line number from 0, line with its end, its step if it is a record). A last line that a crash has cut is left
// out.
void each_line(std::string_view text,
               const std::function<void(int64_t number, std::string_view line, std::optional<int64_t> step)>& f) {
  int64_t number = 0;
  for (size_t at = 0; at < text.size(); ++number) {
    const size_t end = text.find('\n', at);
    if (end == text.npos) return;
    f(number, text.substr(at, end + 1 - at), step_of_line(text.substr(at, end - at)));
    at = end + 1;
  }
}

// Keeps the records up to `last`. Rewrites only if something is to go: by a new file and a rename. Gives the last step
// of those that went, or -1.
int64_t truncate_records(const std::string& path, int64_t last) {
  const MappedFile file(path);
  const std::string_view text = content(file);
  std::string kept;
  int64_t removed_until = -1;
  each_line(text, [&](int64_t number, std::string_view line, std::optional<int64_t> step) {
    if (!step)
      warn(path, ":", number + 1, ": removed a line that is no record");
    else if (*step <= last)
      kept += line;
    else
      removed_until = std::max(removed_until, *step);
  });
  if (kept.size() != text.size()) write_file_durably(path, kept);
  return removed_until;
}

}  // namespace

MetricsFile::MetricsFile(const std::string& path, int64_t step)
    : removed_until_(is_file(path) ? truncate_records(path, step) : -1), file_(FileWriter::append(path)) {}

void MetricsFile::append(int64_t step, const Metrics& metrics) { file_.write(print_metrics(step, metrics) + "\n"); }

void set_records_aside(const std::string& path, int64_t step, const std::string& aside) {
  const MappedFile file(path);
  std::string later;
  each_line(content(file), [&](int64_t, std::string_view line, std::optional<int64_t> s) {
    if (s && *s > step) later += line;
  });
  write_file_durably(aside, later);
}

std::string print_metrics(int64_t step, const Metrics& metrics) {
  std::string line = "{\"step\": " + std::to_string(step);
  for (const auto& [name, value] : metrics)
    line += ", " + in_json(name) + ": " + std::visit([](const auto& v) { return in_json(v); }, value);
  return line + "}";
}

}  // namespace hinoki
