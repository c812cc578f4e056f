// Which of very many texts came before, by their 128-bit hashes. Hashes and results are sorted on the disk, so memory
// stays flat whatever their number.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "core/base/hash128.h"
#include "data/external_sort.h"

namespace hinoki {

class Duplicates {
 public:
  // `folder` is made, and removed in the end. `memory` bounds each of two sorts.
  explicit Duplicates(const std::filesystem::path& folder, size_t memory = size_t{64} << 20);
  ~Duplicates();

  // First everything is added. Ordinals differ; the smallest one of equal hashes is the original.
  void add(const Hash128& hash, uint64_t ordinal);
  // Then duplicates are asked for: all ordinals below `end` that were not given before, smallest first.
  std::vector<uint64_t> take_below(uint64_t end);

 private:
  struct Seen {
    Hash128 hash;
    uint64_t ordinal;
    auto operator<=>(const Seen&) const = default;
  };
  void find();

  std::filesystem::path folder_;
  std::optional<ExternalSort<Seen>> seen_;
  ExternalSort<uint64_t> duplicates_;
  std::optional<uint64_t> head_;
};

}  // namespace hinoki
