#include "core/base/shared_task.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace hinoki::shared_task_test {
namespace {

using Ticket = SharedTask::Ticket;

TEST(SharedTask, GivesOneThreadEverythingInOrder) {
  SharedTask task(2, 2, 3);
  task.open();
  task.await_open();
  std::vector<std::string> seen;
  for (Ticket t; (t = task.claim()).kind != Ticket::none;) {
    task.await(t);
    seen.push_back((t.kind == Ticket::part ? "part " : "item ") + std::to_string(t.round) + std::to_string(t.index));
    task.done(t);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"part 00", "part 01", "item 00", "item 01", "item 02", "part 10", "part 11",
                                            "item 10", "item 11", "item 12"}));
  EXPECT_EQ(task.claim().kind, Ticket::none);
}

// What a round reads and writes is not protected by anything else here: every element is written anew in each round.
TEST(SharedTask, KeepsTheOrderAmongThreads) {
  constexpr int64_t rounds = 200, parts = 3, items = 5;
  SharedTask task(rounds, parts, items);
  std::vector<int64_t> part_of(parts, -1), item_of(items, -1);
  std::atomic<int64_t> done{0}, wrong{0};
  const auto work = [&] {
    task.await_open();
    for (Ticket t; (t = task.claim()).kind != Ticket::none;) {
      task.await(t);
      if (t.kind == Ticket::part) {
        for (const int64_t round : item_of) wrong += round != t.round - 1;
        std::this_thread::yield();  // long enough for others to come by
        wrong += part_of[size_t(t.index)]++ != t.round - 1;
      } else {
        for (const int64_t round : part_of) wrong += round != t.round;
        std::this_thread::yield();
        wrong += item_of[size_t(t.index)]++ != t.round - 1;
      }
      ++done;
      task.done(t);
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(work);
  task.open();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(done, rounds * (parts + items));
}

}  // namespace
}  // namespace hinoki::shared_task_test
