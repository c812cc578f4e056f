#include "core/base/worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

#include "core/base/parallel.h"
#include "tests/support/expect_error.h"

namespace hinoki::worker_test {
namespace {

TEST(Worker, DoesItsJobsInOrderBesideTheCaller) {
  std::latch may_go(1);
  std::vector<int> done;
  {
    Worker worker("test");
    const auto caller = std::this_thread::get_id();
    worker.give([&] { may_go.wait(), done.push_back(0); });
    worker.give([&, caller] {
      EXPECT_NE(std::this_thread::get_id(), caller);
      EXPECT_EQ(pool().threads(), 1);
      done.push_back(1);
    });
    worker.check();  // nothing has failed
    may_go.count_down();
    worker.wait();
    EXPECT_EQ(done, (std::vector{0, 1}));
    worker.wait();
    worker.give([&] { done.push_back(2); });
  }
  EXPECT_EQ(done, (std::vector{0, 1, 2})) << "the destructor waits";
}

TEST(Worker, AnErrorComesOnceAndDropsWhatStoodBehind) {
  std::latch may_fail(1);
  Worker worker("test");
  std::atomic<int> later = 0;
  worker.give([&] {
    may_fail.wait();
    fail<Exit::data>("no such luck");
  });
  worker.give([&] { ++later; });
  may_fail.count_down();
  EXPECT_ERROR(worker.wait(), Exit::data, "no such luck");
  worker.check();
  EXPECT_EQ(later, 0);
  worker.give([&] { ++later; });
  worker.wait();
  EXPECT_EQ(later, 1);
}

}  // namespace
}  // namespace hinoki::worker_test
