// metrics.jsonl, the truth about a run: one JSON object a line, in which every double reads back as the same bits.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/file.h"

namespace hinoki {

using MetricValue = std::variant<int64_t, double, std::string>;
using Metrics = std::vector<std::pair<std::string, MetricValue>>;

class MetricsFile {
 public:
  // Goes on after `step`: records of later steps, which an abandoned continuation has left, are removed in one move,
  // and so is a last line that a crash has cut. -1: of all steps.
  MetricsFile(const std::string& path, int64_t step);

  // {"step": 12, "loss": 2.5, ...}. A value that is not finite becomes "nan", "inf" or "-inf", for JSON has none.
  void append(int64_t step, const Metrics& metrics);
  // The last step whose record was removed, or -1: training goes through those steps again.
  int64_t removed_until() const { return removed_until_; }
  const std::string& path() const { return file_.path(); }
  void sync() { file_.sync(); }  // before a snapshot is published, so that what led to it is not lost

 private:
  int64_t removed_until_;
  FileWriter file_;
};

// Writes the records after `step` into a file of their own, in one move: a rewind leaves these behind.
void set_records_aside(const std::string& path, int64_t step, const std::string& aside);

// One line, without its end.
std::string print_metrics(int64_t step, const Metrics& metrics);

}  // namespace hinoki
