#include "data/duplicates.h"

#include <gtest/gtest.h>

#include <unordered_set>

#include "core/base/philox.h"
#include "tests/support/temporary_folder.h"

namespace hinoki {

TEST(ExternalSort, SortsThroughManyRunsAndMerges) {
  const TemporaryFolder folder;
  ExternalSort<uint64_t> sort(folder.path(), "run-", 100 * sizeof(uint64_t));
  constexpr uint64_t kCount = 60000;  // 600 runs: they are merged into one on the way, twice
  for (uint64_t i = 0; i < kCount; ++i) sort.add(i * 7919 % kCount);
  uint64_t got = 0;
  for (uint64_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(sort.take(got));
    ASSERT_EQ(got, i);
  }
  EXPECT_FALSE(sort.take(got));
}

TEST(ExternalSort, SmallSortsTouchNoFile) {
  const TemporaryFolder folder;
  ExternalSort<uint64_t> sort(folder.path(), "run-");
  for (const uint64_t v : {3u, 1u, 2u}) sort.add(v);
  uint64_t a = 0, b = 0, c = 0, d = 0;
  EXPECT_TRUE(sort.take(a) && sort.take(b) && sort.take(c) && !sort.take(d));
  EXPECT_EQ(a * 100 + b * 10 + c, 123u);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// 600 kB of hashes through 4 kB of memory, against a set.
TEST(Duplicates, AreWhatASetFinds) {
  const TemporaryFolder folder;
  std::vector<uint64_t> expected;
  {
    Duplicates duplicates(folder / "work", 4096);
    std::unordered_set<uint32_t> seen;
    for (uint64_t i = 0; i < 25000; ++i) {
      const uint32_t value = i % 5 == 0 ? 7 : philox({.seed = 1}, i)[0] % 10000;  // and one value a fifth of the time
      duplicates.add(hash128(&value, sizeof value), i * 3);
      if (!seen.insert(value).second) expected.push_back(i * 3);
    }
    std::vector<uint64_t> got;
    for (uint64_t end = 0; end < 80000; end += 777)
      for (const uint64_t o : duplicates.take_below(end)) {
        ASSERT_LT(o, end);
        got.push_back(o);
      }
    EXPECT_EQ(got, expected);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "work"));
}

}  // namespace hinoki
