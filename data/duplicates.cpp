#include "data/duplicates.h"

namespace hinoki {

Duplicates::Duplicates(const std::filesystem::path& folder, size_t memory)
    : folder_(folder), seen_(std::in_place, folder, "hashes-", memory), duplicates_(folder, "duplicates-", memory) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
}

Duplicates::~Duplicates() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Duplicates::add(const Hash128& hash, uint64_t ordinal) { seen_->add({hash, ordinal}); }

void Duplicates::find() {
  Seen now{};
  std::optional<Hash128> before;
  while (seen_->take(now)) {
    if (before == now.hash) duplicates_.add(now.ordinal);
    before = now.hash;
  }
  seen_.reset();
  if (uint64_t first; duplicates_.take(first)) head_ = first;
}

std::vector<uint64_t> Duplicates::take_below(uint64_t end) {
  if (seen_) find();
  std::vector<uint64_t> out;
  while (head_ && *head_ < end) {
    out.push_back(*head_);
    uint64_t next;
    head_ = duplicates_.take(next) ? std::optional(next) : std::nullopt;
  }
  return out;
}

}  // namespace hinoki
