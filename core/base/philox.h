// Randomness as a function: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// The same (seed, site, step, index) gives the same bits on every device, in any order, on any number of threads.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace hinoki {

// FNV-1a: a name becomes a number. Sites are hashes of module paths, never call counters.
constexpr uint64_t hash_name(std::string_view name) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001b3u;
  return h;
}

// Where randomness is drawn. `site` names the place, `step` the moment.
struct RandomKey {
  uint64_t seed = 0, site = 0, step = 0;
};

using Random4 = std::array<uint32_t, 4>;

// 128 random bits for one index.
constexpr Random4 philox(const RandomKey& key, uint64_t index) {
  const uint64_t k = key.seed ^ (key.site * 0x9e3779b97f4a7c15u);
  uint32_t k0 = uint32_t(k), k1 = uint32_t(k >> 32);
  Random4 c{uint32_t(index), uint32_t(index >> 32), uint32_t(key.step), uint32_t(key.step >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
    c = {uint32_t(p1 >> 32) ^ c[1] ^ k0, uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ k1, uint32_t(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// In [0, 1), 24 bits.
constexpr float unit_float(uint32_t bits) { return float(bits >> 8) * 0x1p-24f; }

// Two independent standard normal values (Box-Muller, in double so that every device rounds the same value).
inline std::array<double, 2> normal_pair(uint32_t a, uint32_t b) {
  const double u = (double(a) + 1) * 0x1p-32, angle = double(b) * 0x1p-32 * 6.283185307179586;
  const double r = std::sqrt(-2 * std::log(u));
  return {r * std::cos(angle), r * std::sin(angle)};
}

}  // namespace hinoki
