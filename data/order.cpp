#include "data/order.h"

#include "core/base/check.h"
#include "core/base/philox.h"

namespace hinoki {

int64_t Shuffle::operator()(int64_t position) const {
  require(position >= 0 && position < count, "position ", position, " is not in a shuffle of ", count);
  int half = 1;
  while (half < 31 && (int64_t{1} << (2 * half)) < count) ++half;
  require(half < 31, "a shuffle of ", count, " examples is too large");
  const uint32_t mask = (uint32_t{1} << half) - 1;
  const RandomKey key{.seed = seed, .site = site, .step = epoch};
  auto value = uint64_t(position);
  do {
    uint32_t left = uint32_t(value >> half), right = uint32_t(value) & mask;
    for (uint64_t round = 0; round < 6; ++round) {
      const uint32_t next = left ^ (philox(key, round << 32 | right)[0] & mask);
      left = right;
      right = next;
    }
    value = uint64_t(left) << half | right;
  } while (value >= uint64_t(count));
  return int64_t(value);
}

}  // namespace hinoki
