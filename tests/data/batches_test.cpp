#include "data/batches.h"

#include <map>
#include <numeric>
#include <set>

#include "data/prefetch.h"
#include "data/token_shard.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::batches_test {
namespace {

// Tokens that count up from `first`, so that a window shows where it was cut.
TokenCorpus counting_corpus(const std::filesystem::path& folder, int32_t first, int64_t count) {
  std::filesystem::create_directories(folder);
  TokenShardWriter shard(folder / "train-00000.h5",
                         {.split = "train", .tokenizer_hash = "a", .vocabulary_size = 1 << 20});
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  shard.append(tokens);
  shard.end_document(1, 1);
  shard.publish();
  return TokenCorpus(folder, "train", "a");
}

}  // namespace

TEST(Batches, WindowsOverlapByOneAndAnEpochVisitsAll) {
  const TemporaryFolder folder;
  const TokenCorpus corpus = counting_corpus(folder / "a", 0, 1000);
  const Batches batches({{&corpus}}, 16, 42);
  ASSERT_EQ(batches.windows(0), 62);  // (1000 - 1) / 16
  EXPECT_EQ(batches.positions_per_epoch(), 62);
  std::vector<std::vector<int32_t>> orders;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<int32_t> order, tokens(17);
    for (int64_t i = 0; i < 62; ++i) {
      batches.fill(epoch * 62 + i, tokens);
      for (int32_t k = 0; k < 17; ++k) ASSERT_EQ(tokens[k], tokens[0] + k);
      ASSERT_EQ(tokens[0] % 16, 0);
      order.push_back(tokens[0]);
    }
    orders.push_back(order);
    EXPECT_EQ(std::set<int32_t>(order.begin(), order.end()).size(), 62u);
  }
  EXPECT_NE(orders[0], orders[1]);
}

TEST(Batches, AreAFunctionOfPositionAndSeed) {
  const TemporaryFolder folder;
  const TokenCorpus a = counting_corpus(folder / "a", 0, 5000), b = counting_corpus(folder / "b", 100000, 900);
  const Batches one({{&a, 3}, {&b, 1}}, 8, 1), same({{&a, 3}, {&b, 1}}, 8, 1), other({{&a, 3}, {&b, 1}}, 8, 2);
  std::vector<int32_t> x(9), y(9);
  int64_t differ = 0;
  for (int64_t p = 20000; p >= 0; p -= 7) one.fill(p, x);  // in another order than below
  for (int64_t p = 0; p < 3000; ++p) {
    one.fill(p, x), same.fill(p, y);
    ASSERT_EQ(x, y);
    other.fill(p, y);
    differ += x != y;
  }
  EXPECT_GT(differ, 2900);
}

TEST(Batches, BlendKeepsItsRatioInEveryCycleAndVisitsEachWindowEquallyOften) {
  const TemporaryFolder folder;
  const TokenCorpus a = counting_corpus(folder / "a", 0, 8001), b = counting_corpus(folder / "b", 100000, 801);
  const Batches batches({{&a, 0.7}, {&b, 0.3}}, 8, 9);
  std::map<int64_t, int64_t> visits;  // of the windows of b
  for (int64_t cycle = 0; cycle < 4; ++cycle) {
    int64_t from_b = 0;
    for (int64_t p = cycle * kBlendCycle; p < (cycle + 1) * kBlendCycle; ++p) {
      const Example e = batches.example(p);
      from_b += e.part;
      if (e.part == 1) ++visits[e.window];
    }
    EXPECT_EQ(from_b, 1229);  // 0.3 * 4096 = 1228.8, a's share 2867.2
  }
  ASSERT_EQ(visits.size(), 100u);
  for (const auto& [window, count] : visits) EXPECT_NEAR(double(count), 4 * 1229 / 100.0, 1) << window;
}

TEST(Batches, RefusesWhatCannotBeTrainedOn) {
  const TemporaryFolder folder;
  const TokenCorpus a = counting_corpus(folder / "a", 0, 100);
  EXPECT_ERROR(Batches({{&a}}, 100, 0), Exit::data, "one sequence needs 101");
  EXPECT_ERROR(Batches({{&a, -1.0}}, 10, 0), Exit::usage, "must be above zero");
  EXPECT_ERROR(Batches({}, 10, 0), Exit::usage, "corpora");
}

TEST(Windows, ComeInOrder) {
  const TemporaryFolder folder;
  const TokenCorpus a = counting_corpus(folder / "a", 5, 101);
  const Windows windows(a, 10);
  ASSERT_EQ(windows.count(), 10);
  std::vector<int32_t> tokens(11);
  for (int64_t w = 0; w < 10; ++w) {
    windows.fill(w, tokens);
    EXPECT_EQ(tokens[0], 5 + 10 * w);
    EXPECT_EQ(tokens[10], 15 + 10 * w);
  }
}

TEST(Batches, DocumentsAreNumberedByTheirEnds) {
  const std::vector<int32_t> tokens{5, 6, 3, 7, 3, 3, 8};
  std::vector<int32_t> numbers(7);
  number_documents(tokens, 3, numbers);
  EXPECT_EQ(numbers, (std::vector<int32_t>{0, 0, 0, 1, 1, 2, 3}));
}

TEST(Prefetch, GivesItemsInOrderAndErrorsAtTheirPlace) {
  Prefetch<int64_t> items([](int64_t n) { return n == 8 ? (fail<Exit::data>("item 8 is broken"), n) : n * n; }, 5);
  EXPECT_EQ(items.next(), 25);
  EXPECT_EQ(items.next(), 36);
  EXPECT_EQ(items.next(), 49);
  EXPECT_ERROR(items.next(), Exit::data, "item 8 is broken");
  EXPECT_ERROR(items.next(), Exit::data, "item 8 is broken");
}

TEST(Prefetch, StopsWhenNobodyWantsMore) {
  int64_t made = 0;
  {
    Prefetch<int64_t> items([&](int64_t n) { return ++made, n; }, 0, 3);
    items.next();
  }
  EXPECT_LE(made, 6);  // one taken, three waiting, one that had no room
}

}  // namespace hinoki::batches_test
