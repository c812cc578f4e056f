// Shared memory beyond 48 KiB a block, static and dynamic together: allowed by the launch, whatever the two parts are.
#include <gtest/gtest.h>

#include "kernels/cuda/shared_allowance.h"
#include "kernels/cuda/simt.h"
#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"

namespace hinoki {
namespace {

constexpr int kThreads = 64, kFixed = 8192;  // 32 KiB of static shared memory

// out[i] = the sum of what thread 63 - i has put into both parts.
__global__ void fill_both(int* out, int words) {
  DYNAMIC_SHARED(dynamic, int);
  SHARED(fixed, int[kFixed]);
  const int me = int(threadIdx.x), other = kThreads - 1 - me;
  for (int i = me; i < words; i += kThreads) dynamic[i] = me;
  for (int i = me; i < kFixed; i += kThreads) fixed[i] = me;
  __syncthreads();
  int sum = 0;
  for (int i = other; i < words; i += kThreads) sum += dynamic[i];
  for (int i = other; i < kFixed; i += kThreads) sum += fixed[i];
  out[me] = sum;
}

void expect_sums(size_t dynamic) {
  const int words = int(dynamic / sizeof(int));
  const test::DeviceArray<int> out(kThreads);
  simt::launch(fill_both, 1, kThreads, dynamic, {}, out.data(), words);
  const std::vector<int> sums = out.values();
  for (int i = 0; i < kThreads; ++i) {
    const int other = kThreads - 1 - i, mine = (words - other + kThreads - 1) / kThreads;
    EXPECT_EQ(sums[size_t(i)], other * (mine + kFixed / kThreads)) << "thread " << i << ", " << dynamic << " bytes";
  }
}

// On both sides of 48 KiB together and of 48 KiB of dynamic memory alone; the last is smaller than what was allowed.
TEST(SharedMemory, MayBeMoreThan48KiBTogether) {
  constexpr size_t kKiB = 1024;
  for (const size_t dynamic :
       {16 * kKiB - 256, 16 * kKiB, 16 * kKiB + 256, 48 * kKiB, 48 * kKiB + 256, 60 * kKiB, 20 * kKiB})
    expect_sums(dynamic);
}

TEST(SharedMemory, IsRefusedBeyondWhatABlockCanHave) {
  EXPECT_ERROR(expect_sums(simt::shared_limit()), Exit::failure, "of static");
  expect_sums(20 * 1024);  // and the next launch works
}

// A kernel asks when static and dynamic bytes are over 48 KiB, and never for less than before.
TEST(SharedMemory, AllowanceIsAHighWaterMark) {
  simt::SharedAllowances allowances;
  const int kernels[2] = {};
  std::vector<size_t> asked;
  int looked = 0;
  const auto prepare = [&](int kernel, size_t dynamic) {
    allowances.prepare(
        &kernels[kernel], dynamic, [&] { return ++looked, size_t{34948}; },
        [&](size_t fixed, size_t bytes) {
          EXPECT_EQ(fixed, 35072u) << "rounded up to where the dynamic part begins";
          asked.push_back(bytes);
        });
  };
  for (const size_t dynamic : {14080, 14081, 20000, 15000, 20000, 60000, 50000}) prepare(0, dynamic);
  EXPECT_EQ(asked, (std::vector<size_t>{14081, 20000, 60000}));
  prepare(1, 30000);
  EXPECT_EQ(asked.back(), 30000u);
  EXPECT_EQ(looked, 2) << "once a kernel";
}

// What could not be allowed is asked for again.
TEST(SharedMemory, AFailedAllowanceIsNone) {
  simt::SharedAllowances allowances;
  int calls = 0;
  const auto fails = [&](size_t, size_t) { ++calls, fail("no"); };
  for (int i = 0; i < 2; ++i)
    EXPECT_ERROR(allowances.prepare(&calls, 60000, [] { return size_t{0}; }, fails), Exit::failure, "no");
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace hinoki
