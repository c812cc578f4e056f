// One line of raw bytes becomes clean text: well-formed UTF-8, no control characters but tabs, no byte order marks, and
// in Unicode's NFKC form if asked for. Spaces stay as they are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hinoki {

enum class BrokenText { fail, replace, skip };  // replace: each broken byte becomes U+FFFD

struct CleanSettings {
  BrokenText broken = BrokenText::fail;
  bool nfkc = false;
};

// Appends the clean line to `out`. Gives the position of the first broken byte, if there is one and it is not replaced:
// nothing is appended then. `replaced` counts replaced bytes.
std::optional<size_t> clean_line(std::string_view raw, const CleanSettings& settings, std::string& out,
                                 int64_t& replaced);

}  // namespace hinoki
