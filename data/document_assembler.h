// Puts the pieces of all blocks, in order, together to documents, and says of each whether it is kept and whether it is
// for validation before its text comes. At most a mebibyte of text waits for that.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "core/base/hash128.h"
#include "data/text_pieces.h"

namespace hinoki {

enum class Deduplicate { none, line, document };

// More of the open document: line breaks, then one piece.
struct DocumentPart {
  int newlines = 0;
  std::span<const int32_t> tokens;
  int64_t bytes = 0, characters = 0;  // of the piece alone
};

struct DocumentOutput {
  std::function<void(bool validation, const DocumentPart&)> append;
  std::function<void(bool validation)> end;
  // Of every document with text, kept or not: the hash of all its lines, and the ordinal of its first piece.
  std::function<void(const Hash128&, uint64_t ordinal)> seen;
};

struct AssembledCounts {
  int64_t documents = 0, validation_documents = 0;  // given out
  int64_t duplicate_documents = 0, duplicate_lines = 0;
  int64_t emptied_documents = 0;  // of which no line was left
};

// The text of a document is its kept lines with a newline between two, or two where blank lines stood. It is for
// validation if the hash of its lines, up to the first mebibyte and duplicates included, falls below the fraction.
class DocumentAssembler {
 public:
  DocumentAssembler(DocumentOutput output, Deduplicate deduplicate, double validation_fraction);

  void add(const TextPieces& block);
  void finish();
  const AssembledCounts& counts() const { return counts_; }

 private:
  struct Waiting {
    DocumentPart part;
    std::vector<int32_t> tokens;
  };
  // What is known of the document being put together.
  struct Open {
    bool dropped = false, decided = false, validation = false;
    bool begun = false;   // some of its text was kept
    bool blank = false;   // blank lines came after that
    bool joined = false;  // text came just before, so a continuing piece goes on there
    bool line_dropped = false;
    uint64_t ordinal = 0;
    int64_t bytes = 0;  // hashed so far
    Hasher128 hash;
    std::vector<Waiting> waiting;
  };
  void text(const TextPieces& block, const TextPiece& piece);
  void decide();
  void close();

  DocumentOutput output_;
  Deduplicate deduplicate_;
  double validation_fraction_;
  AssembledCounts counts_;
  std::optional<Open> open_;
};

}  // namespace hinoki
