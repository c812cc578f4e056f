// Scratch memory of kernels: it is fresh on the emulator, so that no kernel leans on what another left there.
#include <gtest/gtest.h>

#include <thread>

#include "core/base/device.h"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/simt.h"

namespace hinoki::kernels {
namespace {

__global__ void write_all(float* p, int count) {
  for (int i = int(threadIdx.x); i < count; i += int(blockDim.x)) p[i] = float(i);
}

TEST(CudaScratch, HoldsWhatWasAskedFor) {
  for (const int count : {10, 100000, 50}) {
    float* p = cuda_scratch<float>({}, size_t(count));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 256, 0u);
    simt::launch(write_all, 1, 64, 0, {}, p, count);
    float last = 0;
    device_table(Device::cuda).copy_out(&last, p + count - 1, sizeof last, {});
    EXPECT_EQ(last, float(count - 1));
  }
}

TEST(CudaScratch, ThreadsAndStreamsDoNotShare) {
  int other = 0;
  float* mine = cuda_scratch<float>({}, 100);
  float* of_stream = cuda_scratch<float>({&other}, 100);
  EXPECT_NE(mine, of_stream);
  std::thread([&] { EXPECT_NE(cuda_scratch<float>({}, 100), mine); }).join();
}

}  // namespace
}  // namespace hinoki::kernels
