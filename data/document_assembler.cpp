#include "data/document_assembler.h"

namespace hinoki {
namespace {

constexpr int64_t kDecidingBytes = 1 << 20;

}  // namespace

DocumentAssembler::DocumentAssembler(DocumentOutput output, Deduplicate deduplicate, double validation_fraction)
    : output_(std::move(output)), deduplicate_(deduplicate), validation_fraction_(validation_fraction) {}

void DocumentAssembler::add(const TextPieces& block) {
  for (size_t i = 0; i < block.pieces.size(); ++i) {
    const TextPiece& piece = block.pieces[i];
    if (piece.kind == TextPiece::border) {
      close();
    } else if (piece.kind == TextPiece::blank) {
      if (open_) open_->blank = true, open_->joined = false, open_->line_dropped &= piece.continues;
    } else {
      if (!open_) {
        open_.emplace();
        open_->ordinal = block.ordinal(i);
        open_->dropped = deduplicate_ == Deduplicate::document && piece.duplicate;
      }
      text(block, piece);
    }
  }
}

void DocumentAssembler::text(const TextPieces& block, const TextPiece& piece) {
  const auto line = bytes_of(piece.hash);
  const auto bytes = int64_t(piece.end - piece.begin);
  open_->hash.add(line.data(), line.size());
  open_->bytes += bytes;
  const bool duplicate = deduplicate_ == Deduplicate::line && piece.duplicate;
  counts_.duplicate_lines += duplicate;
  open_->line_dropped = duplicate || (piece.continues && open_->line_dropped);
  if (!open_->dropped && !open_->line_dropped) {
    const auto tokens = std::span(block.tokens).subspan(piece.first_token, piece.last_token - piece.first_token);
    const int newlines = !open_->begun || (piece.continues && open_->joined) ? 0 : open_->blank ? 2 : 1;
    const DocumentPart part{.newlines = newlines, .tokens = tokens, .bytes = bytes, .characters = piece.characters};
    if (!open_->decided)
      open_->waiting.push_back({part, {tokens.begin(), tokens.end()}});
    else if (output_.append)
      output_.append(open_->validation, part);
    open_->begun = true;
    open_->blank = false;
  }
  open_->joined = true;
  if (!open_->decided && open_->bytes >= kDecidingBytes) decide();
}

void DocumentAssembler::decide() {
  open_->decided = true;
  open_->validation = double(open_->hash.value().high >> 11) * 0x1p-53 < validation_fraction_;
  for (Waiting& w : open_->waiting) {
    w.part.tokens = w.tokens;
    if (output_.append) output_.append(open_->validation, w.part);
  }
  open_->waiting.clear();
}

void DocumentAssembler::close() {
  if (!open_) return;
  if (!open_->decided) decide();
  if (output_.seen) output_.seen(open_->hash.value(), open_->ordinal);
  if (open_->begun) {
    ++counts_.documents;
    counts_.validation_documents += open_->validation;
    if (output_.end) output_.end(open_->validation);
  } else if (open_->dropped) {
    ++counts_.duplicate_documents;
  } else {
    ++counts_.emptied_documents;
  }
  open_.reset();
}

void DocumentAssembler::finish() { close(); }

}  // namespace hinoki
