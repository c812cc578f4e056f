// TensorBoard event files: scalars and texts. Each record is written at once, so a crash cuts at most the last one,
// which readers skip. A resumed run starts a new file whose first entry tells readers to forget the later steps of
// older files.
//
//   record: u64 length, u32 masked CRC-32C of the length, that many bytes (an Event protocol buffer), u32 masked
//   CRC-32C
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace hinoki {

struct Scalar {
  std::string tag;
  double value;  // stored as f32; metrics.jsonl has it in full
};

class EventFile {
 public:
  // Creates events.out.tfevents.TIME.HOST.PID.NUMBER in `folder`, to go on after `step`; 0 for a run from its start.
  EventFile(const std::string& folder, int64_t step);

  void add_scalars(int64_t step, const std::vector<Scalar>& scalars);
  void add_text(int64_t step, const std::string& tag, const std::string& text);  // shown as Markdown

  const std::string& path() const { return file_.path(); }

 private:
  void write(const std::string& event);

  FileWriter file_;
};

}  // namespace hinoki
