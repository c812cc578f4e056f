// The bytes of a file, decompressed if its name ends in .gz or .zst, a piece at a time.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace hinoki {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Fills as much of `out` as there is; less than asked only at the end.
  virtual size_t read(std::span<char> out) = 0;
};

std::unique_ptr<ByteStream> open_bytes(const std::filesystem::path& path);

}  // namespace hinoki
