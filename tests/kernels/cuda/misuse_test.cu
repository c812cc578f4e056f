// What host code may not do with device memory and launches, and what the emulator must say of it.
#include <gtest/gtest.h>

#include "kernels/cuda/simt.h"
#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"

#if !defined(__CUDACC__)
namespace hinoki {
namespace {

constexpr int kThreads = 64;

__global__ void halved(float* x) { x[threadIdx.x] *= 0.5f; }

TEST(Misuse, ReleasedMemoryIsNoMore) {
  float* gone = nullptr;
  {
    const test::DeviceArray<float> array(std::vector<float>(kThreads, 0.0f));
    gone = array.data();
  }
  EXPECT_ERROR(simt::launch(halved, 1, kThreads, 0, {}, gone), Exit::failure, "it has been released");
  EXPECT_ERROR(device_table(Device::cuda).fill(gone, 0, 4, {}), Exit::failure, "is not device memory, or no longer");
}

TEST(Misuse, LaunchesThatCannotStartAreRefused) {
  EXPECT_ERROR(simt::launch(halved, 1, 2000, 0, {}, nullptr), Exit::failure,
               "kernel halved: a block of (2000,1,1) threads; 1 to 1024 are possible");
  EXPECT_ERROR(simt::launch(halved, dim3(1, 70000), 32, 0, {}, nullptr), Exit::failure,
               "a grid of (1,70000,1) blocks is too large");
  EXPECT_ERROR(simt::launch(halved, 1, 32, 300'000, {}, nullptr), Exit::failure,
               "300000 bytes of dynamic shared memory");
  EXPECT_NO_THROW(simt::launch(halved, 0, 32, 0, {}, nullptr));
}

TEST(Misuse, CopiesKeepToTheirBlocks) {
  const test::DeviceArray<float> array(10);
  std::vector<float> host(11);
  const DeviceTable& device = device_table(Device::cuda);
  EXPECT_ERROR(device.copy_in(array.data(), host.data(), 44, {}), Exit::failure,
               "copy to the device: 44 bytes at byte 0 of a block of 40 bytes");
  EXPECT_ERROR(device.copy_out(host.data(), array.data() + 1, 40, {}), Exit::failure,
               "copy from the device: 40 bytes at byte 4 of a block of 40 bytes");
  EXPECT_ERROR(device.copy(host.data(), array.data(), 40, {}), Exit::failure, "is not device memory");
  EXPECT_ERROR(device.release(array.data() + 1), Exit::failure, "is inside a block");
}

int depth(volatile int* above, int n) {
  volatile int here[64] = {};
  here[n % 64] = above[0] + 1;
  return n == 0 ? here[0] : depth(here, n - 1) + here[1];
}
__global__ void recursive(int* out, int n) {
  int start[1] = {n};
  out[0] = depth(start, n);
}

TEST(MisuseDeathTest, HostCodeMayNotTouchDeviceMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const test::DeviceArray<float> array(10);
  EXPECT_DEATH(array.data()[3] = 1, "host code touched device memory at 0x[0-9a-f]+ .byte 12 of a block of 40 bytes");
}

TEST(MisuseDeathTest, StacksHaveAnEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const test::DeviceArray<int> array(1);
  EXPECT_DEATH(simt::launch(recursive, 1, 1, 0, {}, array.data(), 10'000), "thread has overflown its stack");
}

}  // namespace
}  // namespace hinoki
#endif
