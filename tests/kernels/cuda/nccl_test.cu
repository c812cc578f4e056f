// NCCL's interface as we declare it. Where its header is, our values and signatures are held against it; elsewhere the
// twin is asked for what a careless caller would do.
#include <gtest/gtest.h>

#include "core/base/nccl.h"

#if defined(__CUDACC__)
#if __has_include(<nccl.h>)
#include <nccl.h>

#include <cstddef>
#include <type_traits>

namespace hinoki {
namespace {

static_assert(int(nccl::success) == int(ncclSuccess));
static_assert(int(nccl::unhandled_cuda_error) == int(ncclUnhandledCudaError));
static_assert(int(nccl::system_error) == int(ncclSystemError));
static_assert(int(nccl::internal_error) == int(ncclInternalError));
static_assert(int(nccl::invalid_argument) == int(ncclInvalidArgument));
static_assert(int(nccl::invalid_usage) == int(ncclInvalidUsage));
static_assert(int(nccl::remote_error) == int(ncclRemoteError));
static_assert(int(nccl::in_progress) == int(ncclInProgress));
static_assert(int(nccl::bytes) == int(ncclUint8));
static_assert(sizeof(nccl::Result) == sizeof(ncclResult_t) && sizeof(nccl::DataType) == sizeof(ncclDataType_t));
static_assert(sizeof(nccl::UniqueId) == sizeof(ncclUniqueId) && alignof(nccl::UniqueId) == alignof(ncclUniqueId));
static_assert(offsetof(nccl::Config, size) == offsetof(ncclConfig_t, size));
static_assert(offsetof(nccl::Config, magic) == offsetof(ncclConfig_t, magic));
static_assert(offsetof(nccl::Config, version) == offsetof(ncclConfig_t, version));
static_assert(offsetof(nccl::Config, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(sizeof(nccl::Config) <= sizeof(ncclConfig_t));

// As the calling convention sees them: pointers are alike, and enumerations are numbers of their size.
template <class Ours, class Theirs>
constexpr bool alike = (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) ||
                       (std::is_class_v<Ours> == std::is_class_v<Theirs> &&
                        std::is_pointer_v<Ours> == std::is_pointer_v<Theirs> && sizeof(Ours) == sizeof(Theirs));
template <class Ours, class Theirs>
constexpr bool same_call = false;
template <class R, class... P, class S, class... Q>
constexpr bool same_call<R (*)(P...), S (*)(Q...)> = [] {
  if constexpr (sizeof...(P) == sizeof...(Q))
    return alike<R, S> && (alike<P, Q> && ...);
  else
    return false;
}();
static_assert(!same_call<int (*)(int), int (*)(int, int)> && !same_call<int (*)(int), int (*)(size_t)>);

#define SAME(ours, theirs) static_assert(same_call<decltype(nccl::Functions::ours), decltype(&theirs)>, #theirs)
SAME(get_version, ncclGetVersion);
SAME(get_unique_id, ncclGetUniqueId);
SAME(comm_init_rank_config, ncclCommInitRankConfig);
SAME(comm_finalize, ncclCommFinalize);
SAME(comm_destroy, ncclCommDestroy);
SAME(comm_abort, ncclCommAbort);
SAME(comm_get_async_error, ncclCommGetAsyncError);
SAME(get_error_string, ncclGetErrorString);
SAME(get_last_error, ncclGetLastError);
SAME(group_start, ncclGroupStart);
SAME(group_end, ncclGroupEnd);
SAME(send, ncclSend);
SAME(recv, ncclRecv);
#undef SAME

// The library that is loaded knows the program's header's version or a newer one.
TEST(NcclHeader, AndLibraryFitTogether) {
  if (!nccl::look_for_library().found) return;
  int version = 0;
  EXPECT_EQ(nccl::require_library().get_version(&version), nccl::success);
  EXPECT_GE(version, nccl::kOldest);
}

}  // namespace
}  // namespace hinoki
#endif

#else

#include "kernels/simt/nccl.h"
#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"

namespace hinoki {
namespace {

using nccl::Result;
using test::DeviceArray;

// Two ranks in one thread: nothing of the twin waits.
struct Pair {
  const nccl::Functions& f = *nccl::twins;
  const DeviceTable& device = device_table(Device::cuda);
  nccl::Comm* comm[2] = {};
  Stream stream[2] = {device.make_stream(), device.make_stream()};
  Event event = device.make_event();
  DeviceArray<int> a{std::vector<int>{1, 2, 3, 4}}, b{std::vector<int>{0, 0, 0, 0}};

  Pair() {
    nccl::UniqueId id;
    f.get_unique_id(&id);
    nccl::Config config;
    for (int r = 0; r < 2; ++r)
      EXPECT_EQ(f.comm_init_rank_config(&comm[r], 2, id, r, &config), Result::in_progress);
    for (int r = 0; r < 2; ++r) EXPECT_EQ(state(r), Result::in_progress) << "once";
  }
  ~Pair() {
    for (int r = 0; r < 2; ++r)
      if (comm[r] != nullptr) f.comm_abort(comm[r]);
    device.release_event(event);
    for (const Stream& s : stream) device.release_stream(s);
  }
  Result send(int rank, int64_t count) {
    return f.send(a.data(), size_t(count) * sizeof(int), nccl::bytes, 1 - rank, comm[rank], stream[rank].handle);
  }
  Result recv(int rank, int64_t count) {
    return f.recv(b.data(), size_t(count) * sizeof(int), nccl::bytes, 1 - rank, comm[rank], stream[rank].handle);
  }
  bool done(int rank) {
    device.record(event, stream[rank]);
    return device.passed(event);
  }
  Result state(int rank) {
    Result result = Result::success;
    EXPECT_EQ(f.comm_get_async_error(comm[rank], &result), Result::success);
    return result;
  }
};

TEST(NcclTwin, IsReadyWhenAllHaveCome) {
  const nccl::Functions& f = *nccl::twins;
  const DeviceArray<int> a(std::vector<int>{1});
  nccl::UniqueId id;
  f.get_unique_id(&id);
  nccl::Config config;
  nccl::Comm* comm[2] = {};
  Result state = Result::success;
  EXPECT_EQ(f.comm_init_rank_config(&comm[0], 2, id, 0, &config), Result::in_progress);
  EXPECT_EQ(f.comm_get_async_error(comm[0], &state), Result::success);
  EXPECT_EQ(state, Result::in_progress);
  EXPECT_EQ(f.send(a.data(), 4, nccl::bytes, 1, comm[0], nullptr), Result::invalid_usage);
  EXPECT_EQ(f.comm_init_rank_config(&comm[1], 2, id, 1, &config), Result::in_progress);
  EXPECT_EQ(f.comm_get_async_error(comm[0], &state), Result::success);
  EXPECT_EQ(state, Result::success);
  for (nccl::Comm* c : comm) f.comm_abort(c);
}

TEST(NcclTwin, CopiesWhenBothSidesHaveCome) {
  Pair p;
  EXPECT_EQ(p.send(0, 3), Result::in_progress);
  EXPECT_EQ(p.send(0, 3), Result::invalid_usage) << "before it was asked about the first one";
  EXPECT_EQ(p.state(0), Result::in_progress) << "once";
  EXPECT_EQ(p.state(0), Result::success);
  EXPECT_FALSE(p.done(0));
  EXPECT_EQ(p.b.values(), std::vector<int>(4, 0));
  EXPECT_EQ(p.recv(1, 3), Result::in_progress);
  EXPECT_TRUE(p.done(0) && p.done(1));
  EXPECT_EQ(p.b.values(), (std::vector<int>{1, 2, 3, 0}));
}

TEST(NcclTwin, NothingIsGivenToAStreamThatWaits) {
  Pair p;
  p.recv(1, 4);
  EXPECT_ERROR(p.device.fill(p.b.data(), 0, 4, p.stream[1]), Exit::failure, "still waits for another rank");
  EXPECT_ERROR(p.device.synchronize(p.stream[1]), Exit::failure, "still waits for another rank");
  p.send(0, 4);
  p.device.fill(p.b.data(), 0, 4, p.stream[1]);
  EXPECT_EQ(p.b.values(), (std::vector<int>{0, 2, 3, 4}));
}

TEST(NcclTwin, OtherSizesAreAnErrorAtBothSides) {
  Pair p;
  p.send(0, 3);
  p.recv(1, 4);
  EXPECT_TRUE(p.state(0) == Result::invalid_usage && p.state(1) == Result::invalid_usage);
  EXPECT_FALSE(p.done(0) || p.done(1));
  EXPECT_EQ(p.send(0, 3), Result::invalid_usage) << "from then on";
  EXPECT_EQ(p.b.values(), std::vector<int>(4, 0));
}

TEST(NcclTwin, AnAbortEndsWhatHasBegun) {
  Pair p;
  const int before = simt::nccl_communicators();
  p.send(0, 3);
  EXPECT_EQ(p.f.comm_finalize(p.comm[0]), Result::invalid_usage) << "something is under way";
  p.f.comm_abort(p.comm[0]);
  p.comm[0] = nullptr;
  EXPECT_EQ(simt::nccl_communicators(), before - 1);
  EXPECT_TRUE(p.done(0));
  p.recv(1, 3);
  EXPECT_FALSE(p.done(1)) << "the peer is not told";
}

TEST(NcclTwin, RefusesWhatDoesNotFit) {
  Pair p;
  EXPECT_EQ(p.f.send(p.a.data(), 4, nccl::bytes, 2, p.comm[0], nullptr), Result::invalid_argument) << "of two ranks";
  EXPECT_EQ(p.f.group_end(), Result::invalid_usage) << "none was begun";
  EXPECT_ERROR(p.send(0, 5), Exit::failure, "ncclSend: 20 bytes at byte 0 of a block of 16 bytes");
  const DeviceArray<int> fresh(4);
  EXPECT_ERROR(p.f.send(fresh.data(), 16, nccl::bytes, 1, p.comm[0], nullptr), Exit::failure, "nobody has written");
}

}  // namespace
}  // namespace hinoki
#endif
