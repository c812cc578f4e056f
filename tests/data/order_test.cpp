#include "data/order.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/expect_error.h"

namespace hinoki {

TEST(Shuffle, IsABijectionForEverySize) {
  for (const int64_t count : {1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4096, 100003}) {
    std::vector<bool> seen(count);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t j = Shuffle{.seed = 1, .site = 2, .epoch = 3, .count = count}(i);
      ASSERT_TRUE(j >= 0 && j < count && !seen[j]) << i << " of " << count;
      seen[j] = true;
    }
  }
}

TEST(Shuffle, EverySeedSiteAndEpochIsAnother) {
  const Shuffle base{.seed = 1, .site = 2, .epoch = 3, .count = 10000};
  const Shuffle others[] = {{2, 2, 3, 10000}, {1, 3, 3, 10000}, {1, 2, 4, 10000}};
  for (const Shuffle& other : others) {
    int64_t equal = 0;
    for (int64_t i = 0; i < base.count; ++i) equal += base(i) == other(i);
    EXPECT_LT(equal, 12);  // 1 is expected, Poisson; 12 has a chance of 1e-9
  }
}

// Neighbours land far apart: over 10000 places the mean distance of two random ones is n/3, standard error 0.24 % of n.
TEST(Shuffle, NeighboursAreScattered) {
  const Shuffle s{.seed = 5, .count = 10000};
  double sum = 0;
  for (int64_t i = 0; i + 1 < s.count; ++i) sum += double(std::abs(s(i) - s(i + 1)));
  EXPECT_NEAR(sum / 9999 / 10000, 1.0 / 3, 5 * 0.0024);
}

TEST(Shuffle, WorksForHugeCountsAndRefusesWhatIsOutside) {
  const Shuffle s{.seed = 5, .count = int64_t{1} << 50};
  EXPECT_LT(s(s.count - 1), s.count);
  EXPECT_ERROR(s(s.count), Exit::failure, "is not in a shuffle");
  EXPECT_ERROR(s(-1), Exit::failure, "is not in a shuffle");
}

}  // namespace hinoki
