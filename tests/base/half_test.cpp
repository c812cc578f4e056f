#include "core/base/half.h"

#include <gtest/gtest.h>

#include <cmath>

namespace hinoki::half_test {
namespace {

TEST(Half, EveryF16ComesBackFromF32) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float wide = to_float(f16{uint16_t(bits)});
    const uint16_t back = to_f16(wide).bits;
    if (std::isnan(wide))
      EXPECT_TRUE(std::isnan(to_float(f16{back}))) << bits;
    else
      EXPECT_EQ(back, bits);
  }
}

// Between two neighbours, subnormals among them: the middle goes to the even one, what is next to it to the nearer one.
TEST(Half, RoundsToTheNearestF16) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float below = to_float(f16{uint16_t(bits)}), above = to_float(f16{uint16_t(bits + 1)});
    const float middle = (below + above) / 2;  // exact: f32 has 13 places more
    for (const uint32_t sign : {0u, 0x8000u}) {
      const auto rounded = [&](float x) { return uint32_t(to_f16(sign ? -x : x).bits); };
      ASSERT_EQ(rounded(middle), sign | (bits + bits % 2)) << below;
      ASSERT_EQ(rounded(std::nextafter(middle, below)), sign | bits) << below;
      ASSERT_EQ(rounded(std::nextafter(middle, above)), sign | (bits + 1)) << below;
    }
  }
}

TEST(Half, WhatIsTooLargeForF16BecomesInfinity) {
  EXPECT_EQ(to_f16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_f16(-65536.0f).bits, 0xfc00);
  EXPECT_EQ(to_f16(3e38f).bits, 0x7c00);
}

}  // namespace
}  // namespace hinoki::half_test
