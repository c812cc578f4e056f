#include "data/text_pieces.h"

#include <algorithm>

#include "core/base/check.h"
#include "data/json_text.h"
#include "data/text_split.h"
#include "data/utf8.h"

namespace hinoki {
namespace {

bool is_blank_line(std::string_view line) {
  while (!line.empty()) {
    if (line[0] == ' ' || line[0] == '\t')
      line.remove_prefix(1);
    else if (line.starts_with("\u3000"))
      line.remove_prefix(3);
    else
      return false;
  }
  return true;
}

class Maker {
 public:
  Maker(const TextBlock& block, const PieceSettings& settings) : block_(block), settings_(settings) {
    out_.block = block.number;
    out_.text.reserve(block.bytes.size());
  }

  TextPieces make() {
    if (block_.opens_file) add(TextPiece::border);
    std::string_view rest = block_.bytes;
    int64_t line = block_.line;
    bool continues = block_.continues_line;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      const bool cut = end == rest.size() && block_.cuts_line;
      const size_t at = block_.bytes.size() - rest.size();
      if (block_.file->json_lines)
        record(rest.substr(0, end), at, line);
      else
        plain(rest.substr(0, end), at, line, {.continues = continues, .cut = cut});
      rest.remove_prefix(std::min(end + 1, rest.size()));
      continues = false;
      ++line;
    }
    return std::move(out_);
  }

 private:
  struct Part {
    bool continues, cut;  // of a line that was too long
  };

  void add(TextPiece::Kind kind, Part part = {}) {
    TextPiece& piece = out_.pieces.emplace_back();
    piece.kind = kind;
    piece.continues = part.continues;
    piece.cut = part.cut;
  }

  [[noreturn]] void broken(size_t at, int64_t line) const {
    fail<Exit::data>(block_.file->path, ": broken UTF-8 at byte ", block_.offset + int64_t(at), " (line ", line,
                     "); convert the file to UTF-8, or set --broken-text to replace or skip");
  }

  void plain(std::string_view raw, size_t at, int64_t line, Part part) {
    const size_t begin = out_.text.size();
    if (const auto bad = clean_line(raw, settings_.clean, out_.text, out_.counts.broken_replaced)) {
      if (settings_.clean.broken == BrokenText::fail) broken(at + *bad, line);
      ++out_.counts.broken_dropped;
      if (part.continues || part.cut)  // the other parts must not be joined over the gap
        add(TextPiece::blank, part);
    } else {
      finish_line(begin, part);
    }
    if (settings_.documents == Documents::line && !part.cut) add(TextPiece::border);
  }

  // The clean line is the text from `begin` on.
  void finish_line(size_t begin, Part part) {
    const std::string_view line = std::string_view(out_.text).substr(begin);
    const bool whole = !part.continues && !part.cut;
    if (whole && is_blank_line(line)) {
      out_.text.resize(begin);
      add(settings_.documents == Documents::paragraph && !block_.file->json_lines ? TextPiece::border
                                                                                  : TextPiece::blank);
      return;
    }
    out_.counts.lines += !part.continues;
    out_.counts.cut += part.cut && !part.continues;
    const int64_t characters = count_characters(line);
    if (whole && characters < settings_.min_characters) {
      out_.text.resize(begin);
      ++out_.counts.short_dropped;
      return;
    }
    out_.pieces.push_back({.continues = part.continues,
                           .cut = part.cut,
                           .begin = begin,
                           .end = out_.text.size(),
                           .characters = characters,
                           .hash = hash128(line)});
  }

  void record(std::string_view raw, size_t at, int64_t line) {
    if (raw.ends_with('\r')) raw.remove_suffix(1);
    if (is_blank_line(raw)) return;
    ++out_.counts.records;
    std::string repaired;
    if (const size_t bad = utf8_valid_until(raw); bad < raw.size()) {
      if (settings_.clean.broken == BrokenText::fail) broken(at + bad, line);
      if (settings_.clean.broken == BrokenText::skip) return void(++out_.counts.broken_dropped);
      clean_line(raw, {.broken = BrokenText::replace}, repaired, out_.counts.broken_replaced);
      raw = repaired;
    }
    const JsonText found = json_text(raw, settings_.json_key);
    if (!found.error.empty())
      fail<Exit::data>(block_.file->path, ":", line, ": not a JSON record with a text: ", found.error,
                       found.position ? say(" (column ", found.position, ")") : "");
    add(TextPiece::border);
    std::string_view rest = found.text;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      long_line(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    add(TextPiece::border);
  }

  void long_line(std::string_view line) {
    Part part{.continues = false, .cut = false};
    do {
      const size_t size = cut_at(line, kLongestLine);
      part.cut = size < line.size();
      const size_t begin = out_.text.size();
      // JSON's own \u escapes give no broken text.
      clean_line(line.substr(0, size), settings_.clean, out_.text, out_.counts.broken_replaced);
      finish_line(begin, part);
      line.remove_prefix(size);
      part.continues = true;
    } while (!line.empty());
  }

  const TextBlock& block_;
  const PieceSettings& settings_;
  TextPieces out_;
};

}  // namespace

void PieceCounts::add(const PieceCounts& other) {
  lines += other.lines;
  short_dropped += other.short_dropped;
  cut += other.cut;
  broken_dropped += other.broken_dropped;
  broken_replaced += other.broken_replaced;
  records += other.records;
}

TextPieces make_pieces(const TextBlock& block, const PieceSettings& settings) { return Maker(block, settings).make(); }

}  // namespace hinoki
