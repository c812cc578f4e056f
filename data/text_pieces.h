// A block of raw bytes becomes pieces of clean text with what stands between them. Blocks do not know each other: what
// depends on the order (documents, duplicates) is decided later, from the pieces.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/hash128.h"
#include "data/text_clean.h"
#include "data/text_source.h"

namespace hinoki {

// What one document is, in plain text. A JSONL record is always one.
enum class Documents { file, paragraph, line };  // paragraph: blank lines stand between documents

struct PieceSettings {
  CleanSettings clean = {};
  Documents documents = Documents::file;
  int64_t min_characters = 0;  // shorter lines are dropped; blank ones are no lines
  std::string json_key = "text";
};

struct TextPiece {
  enum Kind : uint8_t { border, blank, text } kind = text;  // border: what comes belongs to another document
  bool continues = false;                                   // goes on with the line of the piece before
  bool cut = false;                                         // and the piece after goes on with this one's
  bool duplicate = false;                                   // set later, on the first text of a line or document
  size_t begin = 0, end = 0;                                // in the block's text
  int64_t characters = 0;
  Hash128 hash;
  size_t first_token = 0, last_token = 0;  // set later
};

struct PieceCounts {
  int64_t lines = 0, short_dropped = 0, cut = 0, broken_dropped = 0, broken_replaced = 0, records = 0;
  void add(const PieceCounts& other);
};

struct TextPieces {
  int64_t block = 0;
  std::string text;
  std::vector<TextPiece> pieces;
  std::vector<int32_t> tokens;
  PieceCounts counts;

  std::string_view text_of(const TextPiece& p) const { return std::string_view(text).substr(p.begin, p.end - p.begin); }
  // Orders pieces over all blocks.
  uint64_t ordinal(size_t piece) const { return uint64_t(block) << 32 | piece; }
};

TextPieces make_pieces(const TextBlock& block, const PieceSettings& settings);

}  // namespace hinoki
