#include "data/ordered_work.h"

#include <atomic>
#include <chrono>

#include "tests/support/expect_error.h"

namespace hinoki {

TEST(OrderedWork, TakesInOrderAndHoldsOnlyAFew) {
  for (const int threads : {1, 2, 5}) {
    std::atomic<int> alive{0}, most{0};
    int64_t next = 0, taken = 0;
    OrderedWork<int64_t, int64_t> work;
    work.next = [&]() -> std::optional<int64_t> {
      if (next == 2000) return std::nullopt;
      most = std::max(most.load(), ++alive);
      return next++;
    };
    work.work = [](int64_t&& n) {
      if (n % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // the others run ahead
      return n * n;
    };
    work.take = [&](int64_t&& square) {
      ASSERT_EQ(square, taken * taken);
      ++taken, --alive;
    };
    work.run(threads);
    EXPECT_EQ(taken, 2000);
    EXPECT_LE(most, 2 * threads + 2);
  }
}

// One large item may come on top of what is below the limit, and one that is larger than it by itself.
TEST(OrderedWork, HoldsOnlySoMuch) {
  for (const int threads : {1, 2, 5}) {
    std::atomic<int64_t> held{0}, most{0};
    int64_t next = 0, taken = 0;
    const auto size_of = [](int64_t n) { return n % 10 == 0 ? 150 : n % 7 * 10; };
    OrderedWork<int64_t, int64_t> work;
    work.next = [&]() -> std::optional<int64_t> {
      if (next == 1000) return std::nullopt;
      held += size_of(next);
      most = std::max(most.load(), held.load());
      return next++;
    };
    work.work = [](int64_t&& n) {
      std::this_thread::sleep_for(std::chrono::microseconds(n % 50));
      return int64_t(n);
    };
    work.take = [&](int64_t&& n) {
      ASSERT_EQ(n, taken++);
      held -= size_of(n);
    };
    work.size = size_of;
    work.most = 100;
    work.run(threads);
    EXPECT_EQ(taken, 1000);
    EXPECT_LT(most, 100 + 150);
    if (threads > 1) {
      EXPECT_GT(most, 150);
    }
  }
}

TEST(OrderedWork, TheFirstErrorInOrderComesOut) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    int64_t next = 0, taken = 0;
    OrderedWork<int64_t, int64_t> work;
    work.next = [&]() -> std::optional<int64_t> { return next++; };
    work.work = [](int64_t&& n) {
      if (n == 20) std::this_thread::sleep_for(std::chrono::microseconds(200));
      if (n >= 20) fail<Exit::data>("item ", n, " is bad");
      return n;
    };
    work.take = [&](int64_t&&) { ++taken; };
    EXPECT_ERROR(work.run(4), Exit::data, "item 20 is bad");
    EXPECT_EQ(taken, 20);
  }
  OrderedWork<int64_t, int64_t> work;
  work.next = []() -> std::optional<int64_t> { fail<Exit::data>("cannot read"); };
  work.work = [](int64_t&& n) { return n; };
  work.take = [](int64_t&&) {};
  EXPECT_ERROR(work.run(3), Exit::data, "cannot read");
}

}  // namespace hinoki
