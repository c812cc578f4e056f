// Conversations, and preferences between answers, out of JSONL: one record a line, its form known by its keys.
//
//   {"messages": [{"role": "system" | "user" | "assistant", "content": TEXT}, ...]}
//   {"prompt": TEXT, "completion": TEXT}
//   {"instruction": TEXT, "input": TEXT, "output": TEXT}        input may be missing or empty
//   {"prompt": TEXT | messages, "chosen": TEXT, "rejected": TEXT}      a preference
//
// Other keys are passed over. Lines of blanks are, too.
#pragma once
#include <filesystem>
#include <optional>
#include <span>

#include "data/chat_template.h"
#include "data/line_reader.h"

namespace hinoki {

struct ChatRecord {
  std::string place;          // "file:line"
  std::string fault;          // why it cannot be used; empty: it can
  Conversation conversation;  // of a preference: up to the answers
  std::string chosen, rejected;
};

class ChatSource {
 public:
  enum class Kind { conversations, preferences };
  // Files, and folders of files that end in .jsonl or .ndjson, .gz and .zst behind it included.
  ChatSource(std::span<const std::filesystem::path> inputs, Kind kind);
  std::optional<ChatRecord> next();  // nothing after the last one
  size_t files() const { return files_.size(); }

 private:
  ChatRecord read(const std::string& line, const std::string& place) const;

  std::vector<std::filesystem::path> files_;
  Kind kind_;
  size_t next_file_ = 0;
  std::optional<LineReader> lines_;
};

}  // namespace hinoki
