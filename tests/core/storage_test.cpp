// Guard bands around tensors: what they see, and that looking at them hides nothing and ends nothing.
#include "core/storage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/base/log.h"
#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/watched_device.h"

namespace hinoki::storage_test {
namespace {

// Blocks of one size serve those of others; lists by size would keep both. (Under the sanitizers each is its own.)
#ifndef __SANITIZE_ADDRESS__
TEST(CpuMemory, IsCutUpAndJoinedAgain) {
  release_cached_memory();
  const size_t before = memory_use().cached;
  constexpr size_t kMiB = 1 << 20;
  Storage::allocate(96 * kMiB).reset();
  EXPECT_EQ(memory_use().cached, before + 96 * kMiB);
  {
    const auto small = Storage::allocate(32 * kMiB), large = Storage::allocate(64 * kMiB);
    EXPECT_EQ(memory_use().cached, before);
  }
  const auto again = Storage::allocate(96 * kMiB);
  EXPECT_EQ(memory_use().cached, before);
}
#endif

// By several threads, in pieces, the last of them short: every byte, and none beside.
TEST(FillBytes, FillsLargeBlocksWhole) {
  const size_t bytes = (size_t{9} << 20) + 3;
  std::vector<unsigned char> block(bytes + 2, 7);
  fill_bytes(block.data() + 1, 42, bytes, Device::cpu);
  EXPECT_EQ(block.front(), 7);
  EXPECT_EQ(block.back(), 7);
  EXPECT_EQ(size_t(std::count(block.begin() + 1, block.end() - 1, 42)), bytes);
}

class GuardBands : public testing::TestWithParam<Device> {
 protected:
  void SetUp() override { set_guard_bands(true); }
  void TearDown() override { set_guard_bands(false); }
};

TEST_P(GuardBands, TellOfWritesOutside) {
  if (!has_device(GetParam())) return;
  std::optional<test::WatchedDevice> hardware;
  if (GetParam() == Device::cuda) hardware.emplace(true);
  const int64_t before = broken_guard_bands();
  for (const int64_t at : {-4, 40}) {
    const auto block = Storage::allocate(40, GetParam(), 4);
    fill_bytes(static_cast<char*>(block->data()) + at, 1, 4, GetParam());
  }
  EXPECT_EQ(broken_guard_bands(), before + 2);
  {
    const auto block = Storage::allocate(40, GetParam(), 4);
    fill_bytes(block->data(), 1, 40, GetParam());
  }
  EXPECT_EQ(broken_guard_bands(), before + 2);
  release_cached_memory(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Devices, GuardBands, testing::Values(Device::cpu, Device::cuda),
                         [](const auto& info) { return name_of(info.param); });

// A kernel has noted a bad id, which is for the program to hear of when it next waits: not for a destructor.
TEST_F(GuardBands, LeaveFaultsToWhoWaits) {
  if (!has_device(Device::cuda)) return;
  const test::WatchedDevice hardware(true);
  const Tensor table = zeros({4, 8}, DType::f32, Device::cuda);
  const Tensor ids = to_device(from_values<int32_t>({2}, std::vector<int32_t>{1, 9}), Device::cuda);
  const int64_t before = broken_guard_bands();
  {
    const NoGrad no_grad;
    const Tensor gone = embedding(ids, table);
  }
  EXPECT_EQ(broken_guard_bands(), before);
  EXPECT_ERROR(device_table(Device::cuda).synchronize({}), Exit::data, "id 9 at place 1 is not in a table of 4");
  release_cached_memory(Device::cuda);
}

// A device that fails at every call, as a GPU does after a kernel has crashed.
TEST_F(GuardBands, EndNothingWhenTheDeviceHasFailed) {
  if (!has_device(Device::cuda)) return;
  const test::WatchedDevice hardware(true);
  const int64_t before = broken_guard_bands();
  {
    const Tensor gone = zeros({10}, DType::f32, Device::cuda);
    hardware.fail_from_now_on();
  }
  EXPECT_EQ(broken_guard_bands(), before);
  release_cached_memory(Device::cuda);
}

}  // namespace
}  // namespace hinoki::storage_test
