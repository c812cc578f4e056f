// The vocabulary of kernels/cuda/simt.h, wherever this build runs it: on a GPU or on the emulator.
#include <gtest/gtest.h>

#include "kernels/cuda/simt.h"
#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"

namespace hinoki {
namespace {

using test::DeviceArray;

__global__ void scaled_sum(float* out, const float* a, const float* b, float scale, int count) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = scale * a[i] + b[i];
}

TEST(Simt, RunsAGridOfBlocks) {
  std::vector<float> a(1000), b(1000);
  for (int i = 0; i < 1000; ++i) a[i] = float(i), b[i] = float(1000 - 2 * i);
  const DeviceArray<float> da(a), db(b), out(1000);
  simt::launch(scaled_sum, 8, 128, 0, {}, out.data(), da.data(), db.data(), 2.0f, 1000);
  EXPECT_EQ(out.values(), std::vector<float>(1000, 1000.0f));
}

// Before it starts, on the emulator as on a GPU, and the next launch knows nothing of it. (Not one of the Simt tests,
// in which compute-sanitizer looks for errors.)
TEST(Launch, AnErrorNamesTheKernelAndItsLaunch) {
  const auto start = [](unsigned threads, size_t shared_bytes) {
    simt::launch(scaled_sum, 1, threads, shared_bytes, {}, nullptr, nullptr, nullptr, 2.0f, 0);
  };
  expect_error(Exit::failure, {"scaled_sum", "2000"}, [&] { start(2000, 0); });
  expect_error(Exit::failure, {"scaled_sum", "300000 bytes of dynamic shared memory"}, [&] { start(32, 300'000); });
  EXPECT_NO_THROW(start(32, 0));
}

__global__ void reversed(float* out, const float* in) {
  SHARED(tile, float[8][32]);
  DYNAMIC_SHARED(more, float);
  const int x = int(threadIdx.x), y = int(threadIdx.y);
  tile[y][x] = in[y * 32 + x];
  __syncthreads();
  more[y * 32 + x] = tile[7 - y][31 - x];
  __syncthreads();
  out[y * 32 + x] = more[y * 32 + x];
}

TEST(Simt, SharesMemoryInABlock) {
  std::vector<float> in(256), expected(256);
  for (int i = 0; i < 256; ++i) in[i] = float(i), expected[i] = float(255 - i);
  const DeviceArray<float> din(in), out(256);
  simt::launch(reversed, 1, dim3(32, 8), 256 * sizeof(float), {}, out.data(), din.data());
  EXPECT_EQ(out.values(), expected);
}

__global__ void votes(unsigned* out) {
  const unsigned lane = threadIdx.x % 32;
  unsigned sum = lane;
  for (int d = 16; d > 0; d >>= 1) sum += __shfl_xor_sync(simt::kFullWarp, sum, d);
  unsigned* mine = out + threadIdx.x * 8;
  mine[0] = sum;
  mine[1] = __ballot_sync(simt::kFullWarp, lane % 3 == 0);
  mine[2] = __shfl_up_sync(simt::kFullWarp, lane, 5);
  mine[3] = __shfl_down_sync(simt::kFullWarp, lane, 5, 16);
  mine[4] = unsigned(__any_sync(simt::kFullWarp, lane == 7)) + 2 * unsigned(__all_sync(simt::kFullWarp, lane < 31));
  mine[5] = __reduce_max_sync(simt::kFullWarp, lane ^ 21u);
  mine[6] = unsigned(__syncthreads_count(threadIdx.x % 2 == 0));
  mine[7] = __shfl_sync(simt::kFullWarp, lane, 3, 8);
}

TEST(Simt, ExchangesValuesInAWarp) {
  const DeviceArray<unsigned> out(64 * 8);
  simt::launch(votes, 1, 64, 0, {}, out.data());
  const std::vector<unsigned> got = out.values();
  for (unsigned t = 0; t < 64; ++t) {
    const unsigned lane = t % 32;
    const std::vector<unsigned> expected{
        496, 0x49249249u,     lane >= 5 ? lane - 5 : lane, lane % 16 + 5 < 16 ? lane + 5 : lane, 1, 31,
        32,  lane / 8 * 8 + 3};
    EXPECT_EQ(std::vector<unsigned>(got.begin() + t * 8, got.begin() + t * 8 + 8), expected) << "thread " << t;
  }
}

__global__ void through_shared(float* out, const float* in, int count) {
  SHARED(tile, float4[2][32]);
  const int i = int(threadIdx.x);
  const auto* from = reinterpret_cast<const float4*>(in);
  for (int stage = 0; stage < 2; ++stage) {
    const int index = stage * 32 + i;
    simt::cp_async16(&tile[stage][i], from + (index < count ? index : 0), index < count);
    simt::cp_async_commit();
  }
  simt::cp_async_wait<0>();
  __syncthreads();
  for (int stage = 0; stage < 2; ++stage) reinterpret_cast<float4*>(out)[stage * 32 + i] = tile[stage][31 - i];
}

TEST(Simt, CopiesInTheBackground) {
  std::vector<float> in(50 * 4), expected(64 * 4, 0.0f);
  for (int i = 0; i < 200; ++i) in[i] = float(i + 1);
  for (int v = 0; v < 50; ++v)
    for (int k = 0; k < 4; ++k) expected[(v / 32 * 32 + 31 - v % 32) * 4 + k] = in[v * 4 + k];
  const DeviceArray<float> din(in), out(256);
  simt::launch(through_shared, 1, 32, 0, {}, out.data(), din.data(), 50);
  EXPECT_EQ(out.values(), expected);
}

}  // namespace
}  // namespace hinoki
