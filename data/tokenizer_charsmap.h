// What a sentencepiece model holds that the library's interface does not tell: the kinds of its pieces, the switches of
// its normaliser, and that one's table of replacements ("charsmap"), which is applied from left to right, always the
// longest entry that fits.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hinoki {

enum class PieceKind { normal = 1, unknown = 2, control = 3, user_symbol = 4, unused = 5, byte = 6 };

struct SpieceSpec {
  std::vector<PieceKind> kinds;  // by id
  std::string charsmap;          // empty: the identity
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool unigram = true;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
};

// From the bytes of a model file. Fails with Exit::data, naming `name` and the offset, where they are no such thing.
SpieceSpec spiece_spec(std::string_view model, const std::string& name);

struct Replacement {
  std::u32string from, to;
};
// Every entry of the charsmap, in the order of its bytes.
std::vector<Replacement> replacements(std::string_view charsmap, const std::string& name);

}  // namespace hinoki
