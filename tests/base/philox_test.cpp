#include "core/base/philox.h"

#include <gtest/gtest.h>

namespace hinoki {

// Known answers of the reference implementation (Random123, kat_vectors) for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({}, 0), (Random4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({.seed = ~0ull, .step = ~0ull}, ~0ull), (Random4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Philox, EveryPartOfTheKeyMatters) {
  const Random4 base = philox({1, 2, 3}, 4);
  EXPECT_NE(base, philox({2, 2, 3}, 4));
  EXPECT_NE(base, philox({1, 3, 3}, 4));
  EXPECT_NE(base, philox({1, 2, 4}, 4));
  EXPECT_NE(base, philox({1, 2, 3}, 5));
}

}  // namespace hinoki
