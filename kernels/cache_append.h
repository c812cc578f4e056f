// New keys and values put behind those of their sequences, which are of any lengths.
#pragma once
#include "kernels/attention.h"

namespace hinoki::kernels {

// For row b, token t, head h of the batch, and each of the two:
//   keys[lines[b]][h][lengths[b] + t] = k of (b, t, h), `dim` elements.  Bits are copied as they are.
struct CacheAppend {
  HeadRows k, v;
  void *keys, *values;                 // [cache_lines, heads, capacity, dim]
  const int32_t *lines, *lengths;      // [batch]; lines below cache_lines, none twice; lengths + time up to capacity
  int64_t batch, time, heads, dim;
  int64_t cache_lines, capacity;
  DType dtype;
};

inline Kernel<CacheAppend> cache_append{"cache_append"};

}  // namespace hinoki::kernels
