// Philox for consecutive indices at once. The bits are those of core/base/philox.h.
#pragma once
#include "core/base/philox.h"
#include "kernels/cpu/target.h"

namespace hinoki::kernels::HINOKI_TARGET {

// out[4 * j + w] = philox(key, first + j)[w] for j in [0, count).
inline void philox_lanes(const RandomKey& key, uint64_t first, int count, uint32_t* __restrict out) {
  const uint64_t k = key.seed ^ (key.site * 0x9e3779b97f4a7c15u);
  const uint32_t step_low = uint32_t(key.step), step_high = uint32_t(key.step >> 32);
  for (int j = 0; j < count; ++j) {
    const uint64_t index = first + uint64_t(j);
    uint32_t a = uint32_t(index), b = uint32_t(index >> 32), c = step_low, d = step_high;
    uint32_t k0 = uint32_t(k), k1 = uint32_t(k >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t p = uint64_t{0xD2511F53} * a, q = uint64_t{0xCD9E8D57} * c;
      a = uint32_t(q >> 32) ^ b ^ k0;
      b = uint32_t(q);
      c = uint32_t(p >> 32) ^ d ^ k1;
      d = uint32_t(p);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    out[4 * j] = a;
    out[4 * j + 1] = b;
    out[4 * j + 2] = c;
    out[4 * j + 3] = d;
  }
}

}  // namespace hinoki::kernels::HINOKI_TARGET
