#include "train/staged_files.h"

#include <algorithm>
#include <cstring>

#include "core/base/parallel.h"

namespace hinoki {
namespace {

constexpr int64_t kCopied = int64_t{1} << 20;   // by one task
constexpr int64_t kWritten = int64_t{1} << 20;  // at once: what was hashed is still in the cache when it is written
constexpr int64_t kAligned = 64;

struct Move {
  std::byte* to;
  const std::byte* from;
  int64_t bytes;
};

}  // namespace

void StagedFiles::reserve(const std::vector<SnapshotPiece>& pieces) {
  parts_.clear();
  int64_t end = 0;
  for (const SnapshotPiece& piece : pieces) {
    require(piece.values.contiguous(), "a piece of ", piece.tensor, " is not contiguous");
    const auto element = int64_t(size_of(piece.values.dtype()));
    parts_.push_back({.tensor = piece.tensor,
                      .file = layout_.place(piece.tensor).file,
                      .offset = piece.begin * element,
                      .bytes = piece.values.numel() * element,
                      .at = end});
    end += (parts_.back().bytes + kAligned - 1) / kAligned * kAligned;
  }
  if (!memory_.defined() || memory_.numel() < end) memory_ = empty({end}, DType::u8);
}

void StagedFiles::touch() { set_zero(memory_); }

void StagedFiles::copy(const std::vector<SnapshotPiece>& pieces) {
  reserve(pieces);
  std::vector<Move> moves;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Tensor& values = pieces[i].values;
    auto* const to = static_cast<std::byte*>(memory_.data()) + parts_[i].at;
    if (values.device() != Device::cpu) {
      copy_bytes(to, Device::cpu, values.data(), values.device(), size_t(parts_[i].bytes));
      continue;
    }
    const auto* const from = static_cast<const std::byte*>(values.data());
    for (int64_t at = 0; at < parts_[i].bytes; at += kCopied)
      moves.push_back({to + at, from + at, std::min(kCopied, parts_[i].bytes - at)});
  }
  parallel(int64_t(moves.size()), [&](int64_t i) {
    const Move& move = moves[size_t(i)];
    std::memcpy(move.to, move.from, size_t(move.bytes));
  });
  const auto place = [&](const Part& p) { return std::pair(p.file, layout_.place(p.tensor).offset + p.offset); };
  std::sort(parts_.begin(), parts_.end(), [&](const Part& a, const Part& b) { return place(a) < place(b); });
}

bool StagedFiles::whole(size_t file) const {
  const SafetensorsLayout::File& f = layout_.files()[file];
  auto bytes = int64_t(f.header.size());
  for (const Part& part : parts_)
    if (part.file == file) bytes += part.bytes;
  return bytes == f.bytes;
}

bool StagedFiles::whole() const {
  for (size_t file = 0; file < layout_.files().size(); ++file)
    if (!whole(file)) return false;
  return true;
}

void StagedFiles::write(KnownFiles& known) {
  for (size_t file = 0; file < layout_.files().size(); ++file) {
    const std::string name = (below_ + "/" + layout_.files()[file].name).substr(1);
    const bool all = whole(file);
    FileDescription description(name, places_in(layout_, file));
    if (all) description.add(bytes_of(layout_.files()[file].header));
    for (const Part& part : parts_) {
      if (part.file != file) continue;
      const std::span bytes(static_cast<const std::byte*>(memory_.data()) + part.at, size_t(part.bytes));
      for (int64_t at = 0; at < part.bytes; at += kWritten) {
        const auto now = bytes.subspan(size_t(at), size_t(std::min(kWritten, part.bytes - at)));
        if (all) description.add(now);
        writer_->write(part.tensor, part.offset + at, now);
      }
    }
    if (all) known[name] = description.finish();
  }
  writer_->finish_part();
  close();
}

}  // namespace hinoki
