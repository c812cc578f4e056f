// Names that strangers chose, made fit for a message: in quotes, on one line, of bounded length.
#pragma once
#include <cstdio>
#include <string>
#include <string_view>

namespace hinoki {

inline std::string in_quotes(std::string_view text) {
  constexpr size_t kMost = 200;
  std::string out = "\"";
  for (const char c : text.substr(0, kMost)) {
    char hex[8];
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f)
      out += c;
    else
      std::snprintf(hex, sizeof hex, "\\x%02x", byte), out += hex;  // a terminal would obey it
  }
  return out + (text.size() > kMost ? "...\"" : "\"");
}

}  // namespace hinoki
