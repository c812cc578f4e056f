// UTF-8 by the book (Unicode 15, table 3-7): no surrogates, no overlong forms, nothing past U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hinoki {

// How many bytes the character at the front of `s` takes; 0 if it is broken; -n if n bytes of a good beginning are
// there and the rest is missing because `s` ends.
int utf8_length(std::string_view s);
// Where the first broken byte is, or s.size().
size_t utf8_valid_until(std::string_view s);
// Of well-formed text: every byte that does not continue a character begins one.
int64_t count_characters(std::string_view s);
void append_utf8(std::string& out, uint32_t code_point);

}  // namespace hinoki
