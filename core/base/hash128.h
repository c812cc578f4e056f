// XXH3-128 of bytes: names tokenizers, finds duplicates, notices rot. Not proof against someone who wants a collision.
#pragma once
#include <xxhash.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/handle.h"

namespace hinoki {

struct Hash128 {
  uint64_t high = 0, low = 0;
  auto operator<=>(const Hash128&) const = default;
};

inline Hash128 hash128(const void* bytes, size_t count) {
  const XXH128_hash_t h = XXH3_128bits(bytes, count);
  return {h.high64, h.low64};
}
inline Hash128 hash128(std::string_view bytes) { return hash128(bytes.data(), bytes.size()); }

// As xxhsum prints it: the high half first, most significant byte first.
inline std::array<uint8_t, 16> bytes_of(const Hash128& h) {
  std::array<uint8_t, 16> out{};
  for (int i = 0; i < 8; ++i) {
    out[i] = uint8_t(h.high >> (56 - 8 * i));
    out[8 + i] = uint8_t(h.low >> (56 - 8 * i));
  }
  return out;
}

// 32 hexadecimal digits.
inline std::string hex_of(const Hash128& h) {
  std::string out;
  for (const uint8_t b : bytes_of(h)) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
  return out;
}

inline std::string hash128_hex(std::span<const std::byte> bytes) { return hex_of(hash128(bytes.data(), bytes.size())); }

// Hashes a stream of pieces.
class Hasher128 {
 public:
  Hasher128() : state_(XXH3_createState()) { reset(); }
  void reset() { XXH3_128bits_reset(state_.get()); }
  void add(const void* bytes, size_t count) { XXH3_128bits_update(state_.get(), bytes, count); }
  void add(std::span<const std::byte> bytes) { add(bytes.data(), bytes.size()); }
  Hash128 value() const {
    const XXH128_hash_t h = XXH3_128bits_digest(state_.get());
    return {h.high64, h.low64};
  }
  std::string hex() const { return hex_of(value()); }

 private:
  Handle<XXH3_state_t*, XXH3_freeState> state_;
};

}  // namespace hinoki
