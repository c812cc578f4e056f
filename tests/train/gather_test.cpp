// Weights that are gathered while the next step begins: whoever reads some waits for those alone, and everything else
// that ranks say to each other comes after all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <mutex>

#include "tests/support/expect_error.h"
#include "tests/support/held_communicator.h"
#include "tests/support/ranks.h"
#include "train/reducer.h"

namespace hinoki::gather_test {
namespace {

constexpr int64_t kBucket = 2 * Parameters::kChunk;  // one chunk of each rank

// Two parameters of one bucket each. Of both, this rank has updated its part.
struct Updated {
  Parameters parameters{DType::f32};
  Tensor a = parameters.add("a", {kBucket}, zeros_init()), b = parameters.add("b", {kBucket}, zeros_init());
  std::optional<Shards> shards;
  std::optional<Reducer> reducer;

  explicit Updated(Communicator& ranks) {
    parameters.allocate();
    shards.emplace(parameters.flat_size(), kBucket, ranks.size());
    for (const Piece& p : shards->of(ranks.rank()))
      std::fill_n(static_cast<float*>(parameters.weights()) + p.begin, p.size(), value(ranks.rank()));
    reducer.emplace(parameters, ranks, *shards, 1, false, false);
  }
  static float value(int rank) { return float(rank + 1); }
  static bool is_whole(const Tensor& x) {
    const float* const at = x.as<float>();
    return std::all_of(at, at + Parameters::kChunk, [](float v) { return v == value(0); }) &&
           std::all_of(at + Parameters::kChunk, at + kBucket, [](float v) { return v == value(1); });
  }
};

TEST(Gather, AReaderWaitsForItsBucketAlone) {
  test::on_ranks(2, [](Communicator& ranks) {
    std::promise<void> read;
    bool in_time = false;
    test::HeldCommunicator held(ranks, [&, has_read = read.get_future().share()](const std::string& what) {
      if (what == "gathering weights of bucket 1")
        in_time = has_read.wait_for(std::chrono::seconds(30)) == std::future_status::ready;
    });
    Updated u(held);
    u.reducer->gather_weights();
    EXPECT_TRUE(Updated::is_whole(u.a));
    read.set_value();
    EXPECT_TRUE(Updated::is_whole(u.b));
    EXPECT_TRUE(in_time) << "the first bucket was not to be had before the second";
    EXPECT_GE(u.reducer->take_waited(), 0);
  });
}

TEST(Gather, WhatOthersSayComesAfterIt) {
  test::on_ranks(2, [](Communicator& ranks) {
    std::mutex mutex;
    std::vector<std::string> order;
    test::HeldCommunicator held(ranks, [&](const std::string& what) {
      if (what.starts_with("gathering")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      const std::lock_guard lock(mutex);
      order.push_back(what);
    });
    Updated u(held);
    u.reducer->gather_weights();
    barrier(held, "a barrier");
    EXPECT_EQ(order, (std::vector<std::string>{"gathering weights of bucket 0", "gathering weights of bucket 1",
                                               "a barrier"}));
  });
}

// The others wait for the parts of a rank that ends in the midst of it.
TEST(Gather, IsFinishedByARankThatEnds) {
  test::on_ranks(2, [](Communicator& ranks) {
    Updated u(ranks);
    u.reducer->gather_weights();
    if (ranks.first()) return;
    EXPECT_TRUE(Updated::is_whole(u.a) && Updated::is_whole(u.b));
  });
}

TEST(Gather, ALostRankIsNamedToWhoeverReads) {
  EXPECT_ERROR(test::on_ranks(
                   2,
                   [](Communicator& ranks) {
                     Updated u(ranks);
                     if (!ranks.first()) return;
                     u.reducer->gather_weights();
                     Updated::is_whole(u.b);
                   },
                   1, 0.3),
               Exit::peer, "no answer from rank 1 within 0.3 s, waiting in \"gathering weights of bucket 0\"");
}

}  // namespace
}  // namespace hinoki::gather_test
