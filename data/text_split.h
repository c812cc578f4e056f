// Where to cut a line that is too long: a function of the line alone, never of how it was read.
#pragma once
#include <cstddef>
#include <string_view>

namespace hinoki {

inline constexpr std::string_view kFullStop = "。";

// How many bytes of `line` come before the cut, at most `limit` (which is at least 8): the whole line if it is short
// enough, else up to the last 。 in the second half of the limit, else up to a character's border.
inline size_t cut_at(std::string_view line, size_t limit) {
  if (line.size() <= limit) return line.size();
  const size_t stop = line.substr(0, limit).rfind(kFullStop);
  if (stop != line.npos && stop >= limit / 2) return stop + kFullStop.size();
  size_t cut = limit;
  // At most three bytes back: broken text is cut where it happens to be.
  for (int i = 0; i < 3 && (static_cast<unsigned char>(line[cut]) & 0xC0) == 0x80; ++i) --cut;
  return cut;
}

}  // namespace hinoki
