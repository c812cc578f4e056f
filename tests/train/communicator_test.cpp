// What ranks say to each other, and what they say when one of them is silent.
#include "train/communicator.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/ranks.h"

namespace hinoki::communicator_test {
namespace {

using test::on_ranks;

// Message from rank a to rank b: (a + 2 b) % 5 bytes, so some are empty, of the value 16 a + b.
std::string message(int a, int b) { return std::string(size_t(a + 2 * b) % 5, char(16 * a + b)); }

TEST(Communicator, ExchangesMessagesOfAnySizeBetweenAllRanks) {
  for (const int n : {1, 2, 3, 8})
    on_ranks(n, [n](Communicator& ranks) {
      for (int round = 0; round < 3; ++round) {
        std::vector<std::string> out, in;
        for (int r = 0; r < n; ++r) {
          out.push_back(message(ranks.rank(), r));
          in.emplace_back(message(r, ranks.rank()).size(), '?');
        }
        std::vector<Bytes> send;
        std::vector<MutableBytes> receive;
        for (int r = 0; r < n; ++r) {
          send.push_back(std::as_bytes(std::span(out[size_t(r)])));
          receive.push_back(std::as_writable_bytes(std::span(in[size_t(r)])));
        }
        ranks.exchange("test", send, receive);
        for (int r = 0; r < n; ++r) EXPECT_EQ(in[size_t(r)], message(r, ranks.rank())) << r << " to " << ranks.rank();
      }
    });
}

TEST(Communicator, GathersAndBroadcasts) {
  on_ranks(4, [](Communicator& ranks) {
    const std::vector<int> squares = gather_values(ranks, "squares", ranks.rank() * ranks.rank());
    EXPECT_EQ(squares, (std::vector<int>{0, 1, 4, 9}));
    const auto texts = gather(ranks, "texts", std::string(size_t(ranks.rank()), 'x'));
    EXPECT_EQ(texts, (std::vector<std::string>{"", "x", "xx", "xxx"}));
    EXPECT_EQ(broadcast(ranks, "word", ranks.first() ? "from the first" : "unheard"), "from the first");
    barrier(ranks, "end");
  });
}

TEST(Communicator, AFailureOfOneIsTheFailureOfAll) {
  std::vector<std::string> messages(3);
  on_ranks(3, [&](Communicator& ranks) {
    try {
      together(ranks, "reading", [&] { require<Exit::data>(ranks.rank() != 1, "shard.h5 is damaged"); });
    } catch (const Error& e) {
      EXPECT_EQ(e.code, Exit::data);
      messages[size_t(ranks.rank())] = e.what();
    }
  });
  EXPECT_EQ(messages, (std::vector<std::string>{"rank 1: shard.h5 is damaged", "shard.h5 is damaged",
                                                "rank 1: shard.h5 is damaged"}));
}

TEST(Communicator, ASilentRankIsNamedWithStepAndExchange) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_ERROR(on_ranks(
                   3,
                   [](Communicator& ranks) {
                     ranks.set_step(7);
                     if (ranks.rank() != 2) barrier(ranks, "sums of the step");
                   },
                   1, 0.3),
               Exit::peer, "step 7: no answer from rank 2 within 0.3 s, waiting in \"sums of the step\"");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

// Whoever fails tells the others, which need not wait for the deadline and end with the same exit code.
TEST(Communicator, ARankThatLeavesIsHeardAtOnce) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_ERROR(on_ranks(
                   2,
                   [](Communicator& ranks) {
                     if (ranks.rank() == 1) fail<Exit::data>("shard.h5 is damaged");
                     barrier(ranks, "sums of the step");
                   },
                   1, 60),
               Exit::data, "rank 1: shard.h5 is damaged");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Communicator, TreesAreTheSameHoweverTheyAreCut) {
  std::vector<double> x(16);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1 / double(3 * i + 1);
  const double whole = tree_sum(x);
  for (size_t part = 1; part <= 16; part *= 2) {
    std::vector<double> sums;
    for (size_t i = 0; i < 16; i += part) sums.push_back(tree_sum(std::span(x).subspan(i, part)));
    EXPECT_EQ(tree_sum(sums), whole) << part;
  }
}

}  // namespace
}  // namespace hinoki::communicator_test
