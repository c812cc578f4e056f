#include "core/base/crc32c.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace hinoki {

TEST(Crc32c, KnownAnswers) {
  const auto of = [](const std::vector<uint8_t>& bytes) { return crc32c(std::as_bytes(std::span(bytes))); };
  EXPECT_EQ(of({}), 0u);
  EXPECT_EQ(crc32c(std::as_bytes(std::span(std::string_view("123456789")))), 0xe3069283u);
  // RFC 3720, B.4
  EXPECT_EQ(of(std::vector<uint8_t>(32, 0)), 0x8a9136aau);
  EXPECT_EQ(of(std::vector<uint8_t>(32, 0xff)), 0x62a8ab43u);
  std::vector<uint8_t> rising(32);
  for (size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(of(rising), 0x46dd794eu);
}

}  // namespace hinoki
