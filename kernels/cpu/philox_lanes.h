// Philox for consecutive indices at once. The bits are those of core/base/philox.h.
#pragma once
#include <algorithm>

#include "core/base/philox.h"
#include "kernels/cpu/vector.h"

namespace hinoki::kernels::HINOKI_TARGET {

// 32-bit numbers in lanes of 64 bits, whose upper halves hold anything.
using WideLanes = VectorOf<double>::Unsigned;
constexpr int kWideLanes = kWidth<double>;

// Products of the lower halves in full. The compiler takes the far slower 64-bit product for them, and g++ 12 warns
// inside its own 512-bit intrinsic.
inline WideLanes widening_product(WideLanes a, uint32_t b) {
#if defined(__AVX2__)
  WideLanes product;
  asm("vpmuludq %2, %1, %0" : "=v"(product) : "v"(a), "v"(WideLanes{} + b));
  return product;
#else
  return (a & 0xffffffffu) * b;
#endif
}

// out[4 * j + w] = philox(key, first + j)[w] for j in [0, kWideLanes).
inline void philox_vector(const RandomKey& key, uint64_t first, uint32_t* out) {
  const uint64_t k = key.seed ^ (key.site * 0x9e3779b97f4a7c15u);
  uint32_t k0 = uint32_t(k), k1 = uint32_t(k >> 32);
  // Even lanes hold the first half of the indices, odd ones the second: the last interleaving puts them in order.
  WideLanes index;
  for (int i = 0; i < kWideLanes; ++i) index[i] = first + uint64_t(i % 2 * (kWideLanes / 2) + i / 2);
  WideLanes a = index, b = index >> 32, c = WideLanes{} + uint32_t(key.step), d = WideLanes{} + (key.step >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const WideLanes p = widening_product(a, 0xD2511F53), q = widening_product(c, 0xCD9E8D57);
    a = (q >> 32) ^ b ^ k0;
    b = q;
    c = (p >> 32) ^ d ^ k1;
    d = p;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  const auto pair = [](WideLanes even, WideLanes odd) {
    return reinterpret_cast<Vector<double>>((even & 0xffffffffu) | (odd << 32));
  };
  const Vector<double> ab = pair(a, b), cd = pair(c, d), halves[] = {low(ab, cd), high(ab, cd)};
  std::memcpy(out, halves, sizeof halves);
}

// out[4 * j + w] = philox(key, first + j)[w] for j in [0, count).
inline void philox_lanes(const RandomKey& key, uint64_t first, int count, uint32_t* __restrict out) {
  int j = 0;
  for (; j + kWideLanes <= count; j += kWideLanes) philox_vector(key, first + uint64_t(j), out + 4 * j);
  if (j == count) return;
  uint32_t rest[4 * kWideLanes];
  philox_vector(key, first + uint64_t(j), rest);
  std::copy(rest, rest + 4 * (count - j), out + 4 * j);
}

}  // namespace hinoki::kernels::HINOKI_TARGET
