// The bits of core/base/philox.h inside kernels, from 32-bit products.
#pragma once
#include "core/base/philox.h"
#include "kernels/cuda/simt.h"

namespace hinoki::kernels {

// A RandomKey as a kernel's parameter.
struct PhiloxKey {
  uint32_t key[2], step[2];
};

inline PhiloxKey philox_key(const RandomKey& k) {
  const uint64_t key = k.seed ^ (k.site * 0x9e3779b97f4a7c15u);
  return {{uint32_t(key), uint32_t(key >> 32)}, {uint32_t(k.step), uint32_t(k.step >> 32)}};
}

// bits[w] = philox(key, index)[w]
__device__ inline void philox(uint32_t (&bits)[4], const PhiloxKey& key, uint64_t index) {
  uint32_t a = uint32_t(index), b = uint32_t(index >> 32), c = key.step[0], d = key.step[1];
  uint32_t k0 = key.key[0], k1 = key.key[1];
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high_a = __umulhi(0xD2511F53u, a), low_a = 0xD2511F53u * a;
    const uint32_t high_c = __umulhi(0xCD9E8D57u, c), low_c = 0xCD9E8D57u * c;
    a = high_c ^ b ^ k0;
    b = low_c;
    c = high_a ^ d ^ k1;
    d = low_a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  bits[0] = a;
  bits[1] = b;
  bits[2] = c;
  bits[3] = d;
}

}  // namespace hinoki::kernels
