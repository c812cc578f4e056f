// Which example comes when: a shuffle that is a function and not an array.
#pragma once
#include <cstdint>

namespace hinoki {

// The place of `position` in a keyed permutation of [0, count); `site` and `epoch` pick the permutation with the seed.
//
// A Feistel network over the smallest 2^(2k) >= count: (l, r) -> (r, l xor F(r)), F the low k bits of Philox keyed by
// (seed, site, epoch). It is a bijection whatever F is. Values outside [0, count) are sent through again until they
// come inside ("cycle walking"), at most four tries on average; a bijection of the larger set then stays one of the
// smaller.
struct Shuffle {
  uint64_t seed = 0, site = 0, epoch = 0;
  int64_t count = 0;

  int64_t operator()(int64_t position) const;
};

}  // namespace hinoki
