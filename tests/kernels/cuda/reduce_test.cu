// Reductions over a block: the result in every thread, one call right after the other.
#include <gtest/gtest.h>

#include "kernels/cuda/reduce.h"
#include "tests/support/device_array.h"

namespace hinoki::kernels {
namespace {

using test::DeviceArray;

__global__ void reduce_twice(const float* in, float* out) {
  const int i = int(threadIdx.x);
  float pair[2] = {in[i], 1};
  block_sum(pair);
  const float largest = block_max(in[i], -1.0f), smallest = block_min(in[i], 1e9f), again = block_sum(in[i] - pair[0]);
  float* const mine = out + i * 5;
  mine[0] = pair[0];
  mine[1] = pair[1];
  mine[2] = largest;
  mine[3] = smallest;
  mine[4] = again;
}

TEST(Reduce, GivesEveryThreadTheResult) {
  for (const int threads : {32, 64, 96, 512, 1024}) {
    std::vector<float> in(size_t(threads), 0.0f);
    for (int i = 0; i < threads; ++i) in[size_t(i)] = float((i * 37) % threads + 3);
    const float sum = float(threads) * float(threads + 5) / 2;  // small integers: exact in any order
    const DeviceArray<float> din(in), out(threads * 5);
    simt::launch(reduce_twice, 1, unsigned(threads), 0, {}, din.data(), out.data());
    const std::vector<float> got = out.values();
    const std::vector<float> expected{sum, float(threads), float(threads + 2), 3, sum - float(threads) * sum};
    for (int i = 0; i < threads; ++i)
      EXPECT_EQ(std::vector<float>(got.begin() + i * 5, got.begin() + i * 5 + 5), expected)
          << "thread " << i << " of " << threads;
  }
}

__global__ void sums_before(const int* in, int* out) {
  const int i = int(threadIdx.x);
  int total = 0, twice = 0;
  const int before = block_sum_before(in[i], total);
  out[i * 3] = before;
  out[i * 3 + 1] = total;
  out[i * 3 + 2] = block_sum_before(before, twice);
}

TEST(Reduce, AddsUpWhatComesBefore) {
  for (const int threads : {32, 64, 512, 1024}) {
    std::vector<int> in(size_t(threads), 0), expected;
    int total = 0, before = 0, second = 0;
    for (int i = 0; i < threads; ++i) total += in[size_t(i)] = (i * 7) % 11;
    for (int i = 0; i < threads; ++i) {
      expected.insert(expected.end(), {before, total, second});
      second += before;
      before += in[size_t(i)];
    }
    const DeviceArray<int> din(in), out(threads * 3);
    simt::launch(sums_before, 1, unsigned(threads), 0, {}, din.data(), out.data());
    EXPECT_EQ(out.values(), expected) << threads << " threads";
  }
}

}  // namespace
}  // namespace hinoki::kernels
