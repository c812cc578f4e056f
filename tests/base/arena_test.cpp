#include "core/base/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

namespace hinoki::arena_test {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

char* take(Arena& arena, size_t bytes) { return static_cast<char*>(arena.take(bytes)); }

// How many bytes of whole pages in [at, at + bytes) have memory behind them.
size_t resident(char* at, size_t bytes) {
  const auto page = size_t(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages((bytes + page - 1) / page);
  if (mincore(at, bytes, pages.data()) != 0) return SIZE_MAX;
  size_t there = 0;
  for (const unsigned char p : pages) there += p & 1;
  return there * page;
}

TEST(Arena, CutsUpWhatComesBack) {
  Arena arena;
  char* const whole = take(arena, 8 * kMiB);
  char* const above = take(arena, kMiB);
  EXPECT_EQ(above, whole + 8 * kMiB);
  arena.give_back(whole, 8 * kMiB);
  EXPECT_EQ(arena.cached(), 8 * kMiB);
  EXPECT_EQ(take(arena, 3 * kMiB), whole);
  EXPECT_EQ(take(arena, 5 * kMiB), whole + 3 * kMiB);
  EXPECT_EQ(arena.cached(), 0u);
}

TEST(Arena, JoinsNeighboursInEveryOrder) {
  for (const auto& order : std::vector<std::vector<int>>{{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}}) {
    Arena arena;
    std::vector<char*> parts;
    for (int i = 0; i < 3; ++i) parts.push_back(take(arena, kMiB));
    take(arena, 512);  // so that the top does not grow
    for (const int i : order) arena.give_back(parts[i], kMiB);
    EXPECT_FALSE(arena.grows_for(3 * kMiB));
    EXPECT_TRUE(arena.grows_for(3 * kMiB + 1));
    EXPECT_EQ(take(arena, 3 * kMiB), parts[0]);
  }
}

TEST(Arena, GrowsWhatIsFreeAtTheTop) {
  Arena arena;
  char* const first = take(arena, 10 * kMiB);
  arena.give_back(first, 10 * kMiB);
  EXPECT_EQ(take(arena, 100 * kMiB), first) << "beyond what was made writable at first, too";
  std::memset(first, 1, 100 * kMiB);
  EXPECT_EQ(take(arena, kMiB), first + 100 * kMiB);
}

// Blocks never overlap, and hold what was written, through a thousand steps of all sizes.
TEST(Arena, KeepsBlocksApart) {
  struct Block {
    char* at;
    size_t bytes;
    char mark;
  };
  Arena arena;
  std::vector<Block> blocks;
  std::mt19937 random(7);
  size_t live = 0, most = 0;
  for (int step = 0; step < 1000; ++step) {
    if (blocks.size() > 40 || (!blocks.empty() && random() % 3 == 0)) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      const Block b = blocks.back();
      blocks.pop_back();
      for (size_t i = 0; i < b.bytes; ++i) ASSERT_EQ(b.at[i], b.mark) << "step " << step;
      arena.give_back(b.at, b.bytes);
      live -= (b.bytes + 511) / 512 * 512;
    } else {
      const size_t bytes = 1 + random() % (size_t{1} << (random() % 19));
      blocks.push_back({take(arena, bytes), bytes, char(step)});
      ASSERT_EQ(uintptr_t(blocks.back().at) % Arena::kGrain, 0u);
      std::memset(blocks.back().at, char(step), bytes);
      live += (bytes + 511) / 512 * 512;
    }
    most = std::max(most, live + arena.cached());
    if (step % 100 == 99) arena.drop();
  }
  EXPECT_GT(most, size_t{1} << 19);
}

TEST(Arena, HandsPagesBack) {
  Arena arena;
  char* const first = take(arena, 8 * kMiB);
  char* const second = take(arena, kMiB);
  std::memset(first, 1, 8 * kMiB);
  std::memset(second, 2, kMiB);
  arena.give_back(first, 8 * kMiB);
  EXPECT_EQ(resident(first, 8 * kMiB), 8 * kMiB);
  arena.drop();
  EXPECT_EQ(arena.cached(), 0u);
  EXPECT_EQ(resident(first, 8 * kMiB), 0u);
  EXPECT_EQ(second[kMiB - 1], 2);
  // Part of it is used again, and part of that comes back: no more is counted than was touched.
  char* const half = take(arena, 4 * kMiB);
  EXPECT_EQ(half, first);
  std::memset(half, 3, 4 * kMiB);
  arena.give_back(half, 4 * kMiB);
  EXPECT_EQ(arena.cached(), 4 * kMiB);
}

// Where somebody limits addresses, ranges are small, and a later one may lie below an earlier one.
TEST(Arena, MakesDoWithFewAddresses) {
  const pid_t child = fork();
  if (child == 0) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t most = pages * size_t(sysconf(_SC_PAGESIZE)) + 600 * kMiB;
    const rlimit limit = {most, most};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
    Arena arena;
    size_t held = 0;
    for (int range = 0; range < 4; ++range) {
      char* const first = take(arena, 40 * kMiB);  // two of them fit into no range
      if (first == nullptr) _exit(2);
      arena.give_back(first, 40 * kMiB);
      if (take(arena, 50 * kMiB) != first) _exit(3);
      std::memset(first, range, 50 * kMiB);
      held += 50 * kMiB;
    }
    while (take(arena, 50 * kMiB) != nullptr) held += 50 * kMiB;
    _exit(held < 300 * kMiB || held > 600 * kMiB ? 4 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Arena, SaysWhenThereIsNoMore) {
  Arena arena;
  std::vector<size_t> sizes = {SIZE_MAX, SIZE_MAX / 2, size_t{1} << 47};
  // More than any machine has, though there are addresses for it: who allows all (1) is asked for no such thing.
  if (std::ifstream("/proc/sys/vm/overcommit_memory").get() != '1') sizes.push_back(size_t{1} << 44);
  for (int round = 0; round < 2; ++round) {
    for (const size_t bytes : sizes) EXPECT_EQ(arena.take(bytes), nullptr) << bytes;
    char* const small = take(arena, 1000);
    ASSERT_NE(small, nullptr) << "and goes on";
    small[999] = 1;
  }
}

}  // namespace
}  // namespace hinoki::arena_test
