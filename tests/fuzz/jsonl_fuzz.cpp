// Any bytes, as a file of JSONL or of plain text, become blocks that add up to them and pieces of well-formed text, or
// an Error. Broken UTF-8 that may be replaced or skipped is never an Error in plain text.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "core/base/check.h"
#include "data/json_text.h"
#include "data/text_pieces.h"
#include "data/utf8.h"

namespace {

using namespace hinoki;

void must(bool holds) {
  if (!holds) std::abort();
}

// A file without a disk, for the readers open files by their names.
std::string write(const std::string& bytes) {
  static const int file = memfd_create("fuzz", 0);
  must(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()));
  return "/proc/self/fd/" + std::to_string(file);
}

void check(const TextPieces& made, bool whole) {
  must(utf8_valid_until(made.text) == made.text.size());
  size_t at = 0;
  for (const TextPiece& piece : made.pieces) {
    if (piece.kind != TextPiece::text) continue;
    must(piece.begin >= at && piece.end >= piece.begin && piece.end <= made.text.size());
    must(piece.characters == count_characters(made.text_of(piece)));
    must(made.text_of(piece).find('\n') == std::string::npos);
    at = piece.end;
  }
  must(!whole || at == made.text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t how = data[0];
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (how >= 0xF8)  // past the size of a block, too
    for (const std::string once = bytes; bytes.size() < 3 * kTextBlock;) bytes += once;
  PieceSettings settings;
  settings.clean = {.broken = BrokenText(how % 3), .nfkc = (how & 4) != 0};
  settings.documents = Documents((how >> 3) % 3);
  const bool json = (how & 32) != 0;
  try {
    TextSource source({{.path = write(bytes), .json_lines = json, .size = bytes.size()}});
    std::string read;
    bool failed = false;
    while (const auto block = source.next()) {
      read += block->bytes;
      must(block->bytes.size() <= std::max(kLongestLine, kTextBlock) || json);
      try {
        check(make_pieces(*block, settings), true);
      } catch (const Error& e) {
        must(e.code == Exit::data && (json || settings.clean.broken == BrokenText::fail));
        failed = true;
      }
      if (failed) break;
    }
    must(failed ? bytes.starts_with(read) : read == bytes);
  } catch (const Error& e) {
    must(e.code == Exit::data && json);  // a record that is too long
  }
  if (utf8_valid_until(bytes) == bytes.size()) {
    const JsonText found = json_text(bytes, "text");
    must(found.error.empty() ? utf8_valid_until(found.text) == found.text.size() : found.text.empty());
  }
  return 0;
}
