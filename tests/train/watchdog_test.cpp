#include "train/watchdog.h"

#include <gtest/gtest.h>

#include <future>

namespace hinoki::watchdog_test {
namespace {

using namespace std::chrono_literals;
using Clock = Watchdog::Clock;

struct Dog {
  std::promise<std::string> said;
  Watchdog dog{[this](const std::string& what) { said.set_value(what); }};
};

TEST(Watchdog, GivesUpAtTheDeadline) {
  Dog d;
  std::atomic<bool> over{false};
  std::thread alive([&] {
    while (!over) d.dog.sign_of_life(), std::this_thread::sleep_for(1ms);
  });
  const Watchdog::Watch watch(d.dog, "an exchange", Clock::now() + 600ms, 60s);
  EXPECT_EQ(d.said.get_future().get(), "an exchange");
  over = true;
  alive.join();
}

TEST(Watchdog, GivesUpWithoutASignOfLife) {
  Dog d;
  const auto start = Clock::now();
  const Watchdog::Watch watch(d.dog, "a call", Clock::now() + 600s, 1s);
  EXPECT_EQ(d.said.get_future().get(), "a call");
  EXPECT_GE(Clock::now() - start, 900ms);
}

TEST(Watchdog, LeavesInPeaceWhoIsDoneInTime) {
  Dog d;
  auto said = d.said.get_future();
  for (int i = 0; i < 3; ++i) {
    const Watchdog::Watch watch(d.dog, "short", Clock::now() + 500ms, 60s);
  }
  EXPECT_EQ(said.wait_for(1200ms), std::future_status::timeout);
}

}  // namespace
}  // namespace hinoki::watchdog_test
