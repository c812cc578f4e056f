// The text of one JSONL record: the string under a key of the outermost object. Nothing else of the record is kept.
#pragma once
#include <string>
#include <string_view>

namespace hinoki {

struct JsonText {
  std::string text;
  std::string error;    // empty if all is well
  size_t position = 0;  // of the error, in bytes
};

// `record` must be well-formed UTF-8.
JsonText json_text(std::string_view record, std::string_view key);

}  // namespace hinoki
