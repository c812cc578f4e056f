// Messages between GPUs, by the twin of NCCL: ranks are threads that share the emulated GPU. On hardware every rank
// needs a GPU of its own, so there a rank alone is all that is tried.
#include "train/communicator_nccl.h"

#include <gtest/gtest.h>

#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"
#include "tests/support/ranks.h"

namespace hinoki::communicator_nccl_test {
namespace {

using test::DeviceArray;
using test::on_ranks;
using Clock = std::chrono::steady_clock;

bool twins() { return nccl::twins != nullptr; }

// A rank's GPU among the others.
struct Gpu {
  explicit Gpu(Communicator& ranks) : ranks(ranks), group(ranks, stream.of) {}
  struct SideStream {
    const DeviceTable& device = device_table(Device::cuda);
    const Stream of = device.make_stream();
    ~SideStream() { device.release_stream(of); }
  };
  Communicator& ranks;
  SideStream stream;
  NcclCommunicator group;
};

// Message from rank a to rank b: (a + 2 b) % 5 numbers, so some are empty, of the value 16 a + b.
int64_t length(int a, int b) { return (a + 2 * b) % 5; }

// One exchange of such messages, checked at every rank; this rank sends `more` to each other one.
void exchange_all(Gpu& gpu, const std::string& what = "test", int64_t more = 0) {
  const int n = gpu.ranks.size(), me = gpu.ranks.rank();
  constexpr int64_t kLongest = 5;
  std::vector<std::unique_ptr<DeviceArray<int>>> out, in;
  std::vector<Bytes> send;
  std::vector<MutableBytes> receive;
  for (int r = 0; r < n; ++r) {
    const int64_t sent = length(me, r) + (r == me ? 0 : more);
    out.push_back(std::make_unique<DeviceArray<int>>(std::vector<int>(kLongest, 16 * me + r)));
    in.push_back(std::make_unique<DeviceArray<int>>(std::vector<int>(kLongest, -1)));
    send.push_back(std::as_bytes(std::span(out.back()->data(), size_t(sent))));
    receive.push_back(std::as_writable_bytes(std::span(in.back()->data(), size_t(length(r, me)))));
  }
  gpu.group.exchange(what, send, receive);
  for (int r = 0; r < n; ++r) {
    std::vector<int> expected(kLongest, -1);
    std::fill_n(expected.begin(), length(r, me), 16 * r + me);
    EXPECT_EQ(in[size_t(r)]->values(), expected) << r << " to " << me;
  }
}

TEST(Nccl, ExchangesMessagesOfAnySizeBetweenAllGpus) {
  for (const int n : {1, 2, 3, 8}) {
    if (!twins()) return;
    on_ranks(n, [](Communicator& ranks) {
      Gpu gpu(ranks);
      for (int round = 0; round < 3; ++round) exchange_all(gpu);
    });
  }
}

// Whoever does not come to an exchange is named by the hosts, by the first of them to lose patience, before NCCL is
// asked for anything.
TEST(Nccl, ARankThatDoesNotComeIsNamedWithStepAndExchange) {
  if (!twins()) return;
  const auto start = Clock::now();
  EXPECT_ERROR(on_ranks(3,
                        [](Communicator& ranks) {
                          Gpu gpu(ranks);
                          ranks.set_step(7);
                          ranks.set_deadline(0.5);
                          if (ranks.rank() != 2) exchange_all(gpu, "gradients of bucket 4");
                        }),
               Exit::peer, "step 7: no answer from rank 2 within 0.5 s, waiting in \"gradients of bucket 4\" at rank");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

// A rank that is there, but whose message never comes: it has told its sizes, as an exchange begins, and then stalls.
void stall(Communicator& ranks, const std::string& what) {
  std::vector<uint64_t> sizes, theirs(size_t(ranks.size()));
  std::vector<Bytes> send;
  std::vector<MutableBytes> receive;
  for (int r = 0; r < ranks.size(); ++r) sizes.push_back(sizeof(int) * uint64_t(length(ranks.rank(), r)));
  for (size_t r = 0; r < sizes.size(); ++r) {
    send.push_back(std::as_bytes(std::span(&sizes[r], 1)));
    receive.push_back(std::as_writable_bytes(std::span(&theirs[r], 1)));
  }
  ranks.exchange(what, send, receive);
}

TEST(Nccl, ARankThatStallsInTheMiddleIsNamedByARollCall) {
  if (!twins()) return;
  std::vector<std::string> messages(3);
  const auto start = Clock::now();
  on_ranks(3, [&](Communicator& ranks) {
    Gpu gpu(ranks);
    barrier(ranks, "all are there");
    ranks.set_deadline(1);
    try {
      ranks.rank() == 1 ? stall(ranks, "weights") : exchange_all(gpu, "weights");
    } catch (const Error& e) {
      EXPECT_EQ(e.code, Exit::peer);
      messages[size_t(ranks.rank())] = e.what();
      EXPECT_ERROR(exchange_all(gpu), Exit::failure, "has left the others");
    }
  });
  for (const int r : {0, 2})
    EXPECT_EQ(messages[size_t(r)].find("no answer from rank 1 within 1 s, waiting in \"weights; not done in 1 s; roll "
                                       "call\" at rank"),
              0u)
        << messages[size_t(r)];
  EXPECT_EQ(messages[1], "");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

// A rank that fails tells the hosts, and who waits for its GPU hears it.
TEST(Nccl, ARankThatLeavesIsHeardAtOnce) {
  if (!twins()) return;
  const auto start = Clock::now();
  EXPECT_ERROR(on_ranks(2,
                        [](Communicator& ranks) {
                          Gpu gpu(ranks);
                          if (ranks.rank() == 0) return exchange_all(gpu);
                          stall(ranks, "test");
                          fail<Exit::data>("shard.h5 is damaged");
                        }),
               Exit::data, "rank 1: shard.h5 is damaged");
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

// NCCL itself would hang, or write where nobody expects it.
TEST(Nccl, MessagesOfUnexpectedSizesAreRefusedBeforeTheyAreSent) {
  if (!twins()) return;
  EXPECT_ERROR(on_ranks(2,
                        [](Communicator& ranks) {
                          Gpu gpu(ranks);
                          exchange_all(gpu, "gradients", ranks.rank());
                        }),
               Exit::failure, "gradients: rank 1 sends 8 bytes, 4 expected");
}

}  // namespace
}  // namespace hinoki::communicator_nccl_test
