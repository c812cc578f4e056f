// Each device function with a twin against its definition in the PTX manual. These run on a GPU as on the emulator, so
// that a wrong constraint in the assembly and a wrong twin show alike.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/half.h"
#include "kernels/cuda/numbers.h"
#include "tests/support/device_array.h"

namespace hinoki {
namespace {

using test::DeviceArray;

struct alignas(16) Rows {
  uint16_t row[32][8];
};

__global__ void load_matrices(uint32_t* out, const uint16_t* in) {
  SHARED(tile, Rows);
  const int lane = int(threadIdx.x);
  for (int j = 0; j < 8; ++j) tile.row[lane][j] = in[lane * 8 + j];
  __syncthreads();
  uint32_t r[4], t[4], half[2], half_t[2];
  simt::ldmatrix_x4(r, tile.row[lane]);
  simt::ldmatrix_x4_trans(t, tile.row[lane]);
  simt::ldmatrix_x2(half, tile.row[lane]);
  simt::ldmatrix_x2_trans(half_t, tile.row[lane]);
  uint32_t* mine = out + lane * 12;
  for (int m = 0; m < 4; ++m) mine[m] = r[m];
  for (int m = 0; m < 4; ++m) mine[4 + m] = t[m];
  for (int m = 0; m < 2; ++m) mine[8 + m] = half[m];
  for (int m = 0; m < 2; ++m) mine[10 + m] = half_t[m];
}

TEST(Twins, LdmatrixGivesEachLaneTwoElementsOfARow) {
  std::vector<uint16_t> in(256);
  for (int i = 0; i < 256; ++i) in[i] = uint16_t(i * 251 + 7);
  const DeviceArray<uint16_t> din(in);
  const DeviceArray<uint32_t> out(32 * 12);
  simt::launch(load_matrices, 1, 32, 0, {}, out.data(), din.data());
  const auto got = out.values();
  const auto element = [&](int m, int i, int j) { return uint32_t{in[(m * 8 + i) * 8 + j]}; };
  for (int lane = 0; lane < 32; ++lane)
    for (int m = 0; m < 4; ++m) {
      const int i = lane / 4, j = lane % 4 * 2;
      const uint32_t plain = element(m, i, j) | element(m, i, j + 1) << 16;
      const uint32_t transposed = element(m, j, i) | element(m, j + 1, i) << 16;
      EXPECT_EQ(got[lane * 12 + m], plain) << "lane " << lane << ", matrix " << m;
      EXPECT_EQ(got[lane * 12 + 4 + m], transposed) << "lane " << lane << ", matrix " << m;
      if (m >= 2) continue;
      EXPECT_EQ(got[lane * 12 + 8 + m], plain) << "lane " << lane << ", matrix " << m;
      EXPECT_EQ(got[lane * 12 + 10 + m], transposed) << "lane " << lane << ", matrix " << m;
    }
}

// Small integers, which bf16, tf32 and f32 hold exactly: sums are exact in any order.
std::vector<float> integers(int count, int factor) {
  std::vector<float> v(count);
  for (int i = 0; i < count; ++i) v[i] = float(i * factor % 17 - 8);
  return v;
}

std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, std::vector<float> c, int depth) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      for (int k = 0; k < depth; ++k) c[i * 8 + j] += a[i * depth + k] * b[k * 8 + j];
  return c;
}

__global__ void multiply_bf16(float* c, const float* a, const float* b) {
  const int group = int(threadIdx.x) / 4, pair = int(threadIdx.x) % 4 * 2;
  const auto two_of_a = [&](int i, int k) { return kernels::pack_bf16(a[i * 16 + k], a[i * 16 + k + 1]); };
  const auto two_of_b = [&](int k, int j) { return kernels::pack_bf16(b[k * 8 + j], b[(k + 1) * 8 + j]); };
  const uint32_t fa[4] = {two_of_a(group, pair), two_of_a(group + 8, pair), two_of_a(group, pair + 8),
                          two_of_a(group + 8, pair + 8)};
  float* mine[4] = {c + group * 8 + pair, c + group * 8 + pair + 1, c + (group + 8) * 8 + pair,
                    c + (group + 8) * 8 + pair + 1};
  float d[4] = {*mine[0], *mine[1], *mine[2], *mine[3]};
  simt::mma_m16n8k16(d, fa, two_of_b(pair, group), two_of_b(pair + 8, group));
  for (int i = 0; i < 4; ++i) *mine[i] = d[i];
}

TEST(Twins, MmaOfBf16IsTheProduct) {
  const auto a = integers(16 * 16, 5), b = integers(16 * 8, 7), c = integers(16 * 8, 11);
  const DeviceArray<float> da(a), db(b), dc(c);
  simt::launch(multiply_bf16, 1, 32, 0, {}, dc.data(), da.data(), db.data());
  EXPECT_EQ(dc.values(), product(a, b, c, 16));
}

__global__ void multiply_tf32(float* c, const float* a, const float* b) {
  const int group = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  const auto of_a = [&](int i, int k) { return kernels::to_tf32(a[i * 8 + k]); };
  const auto of_b = [&](int k, int j) { return kernels::to_tf32(b[k * 8 + j]); };
  const uint32_t fa[4] = {of_a(group, t), of_a(group + 8, t), of_a(group, t + 4), of_a(group + 8, t + 4)};
  float* mine = c + group * 8 + 2 * t;
  float d[4] = {mine[0], mine[1], mine[64], mine[65]};
  simt::mma_m16n8k8(d, fa, of_b(t, group), of_b(t + 4, group));
  mine[0] = d[0];
  mine[1] = d[1];
  mine[64] = d[2];
  mine[65] = d[3];
}

TEST(Twins, MmaOfTf32IsTheProduct) {
  const auto a = integers(16 * 8, 5), b = integers(8 * 8, 7), c = integers(16 * 8, 11);
  const DeviceArray<float> da(a), db(b), dc(c);
  simt::launch(multiply_tf32, 1, 32, 0, {}, dc.data(), da.data(), db.data());
  EXPECT_EQ(dc.values(), product(a, b, c, 8));
}

__global__ void narrow_all(uint32_t* out, const float* in, int count) {
  const int i = int(threadIdx.x);
  if (i >= count) return;
  out[4 * i] = kernels::narrow<bf16>(in[i]).bits;
  out[4 * i + 1] = kernels::narrow<f16>(in[i]).bits;
  out[4 * i + 2] = kernels::pack_bf16(1.0f, in[i]);
  out[4 * i + 3] = kernels::to_tf32(in[i]);
}

TEST(Twins, NarrowingRoundsToNearestEven) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  struct Case {
    float x;
    uint32_t as_bf16, as_f16, as_tf32;
  };
  const std::vector<Case> cases{
      {0.0f, 0, 0, 0},
      {-0.0f, 0x8000, 0x8000, 0x80000000},
      {1.0f, 0x3f80, 0x3c00, 0x3f800000},
      {1.0f + 0x1p-8f, 0x3f80, 0x3c04, 0x3f808000},             // a tie of bf16, to even: down
      {1.0f + 0x3p-8f, 0x3f82, 0x3c0c, 0x3f818000},             // and up
      {1.0f + 0x1p-8f + 0x1p-20f, 0x3f81, 0x3c04, 0x3f808000},  // just above the tie
      {1.0f + 0x1p-11f, 0x3f80, 0x3c00, 0x3f802000},            // a tie of f16 (down) and of tf32 (away from zero)
      {-1.0f - 0x3p-11f, 0xbf80, 0xbc02, 0xbf804000},
      {65520.0f, 0x4780, 0x7c00, 0x477fe000 + 0x2000},  // f16 overflows to infinity
      {0x1p-24f, 0x3380, 0x0001, 0x33800000},           // the smallest f16
      {0x1.8p-24f, 0x33c0, 0x0002, 0x33c00000},
      {3.4e38f, 0x7f80, 0x7c00, 0x7f7fc000},
      {kInfinity, 0x7f80, 0x7c00, 0x7f800000},
      {-kInfinity, 0xff80, 0xfc00, 0xff800000},
  };
  std::vector<float> in;
  for (const Case& c : cases) in.push_back(c.x);
  const DeviceArray<float> din(in);
  const DeviceArray<uint32_t> out(4 * int64_t(in.size()));
  simt::launch(narrow_all, 1, 64, 0, {}, out.data(), din.data(), int(in.size()));
  const auto got = out.values();
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(got[4 * i], cases[i].as_bf16) << cases[i].x;
    EXPECT_EQ(got[4 * i + 1], cases[i].as_f16) << cases[i].x;
    EXPECT_EQ(got[4 * i + 2], cases[i].as_bf16 << 16 | 0x3f80) << cases[i].x;
    EXPECT_EQ(got[4 * i + 3] & 0xffffe000u, cases[i].as_tf32) << cases[i].x;
  }
}

TEST(Twins, NanStaysNan) {
  const DeviceArray<float> in(std::vector<float>{std::nanf(""), -std::nanf("1")});
  const DeviceArray<uint32_t> out(8);
  simt::launch(narrow_all, 1, 32, 0, {}, out.data(), in.data(), 2);
  const auto got = out.values();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(std::isnan(to_float(bf16{uint16_t(got[4 * i])})));
    EXPECT_TRUE(std::isnan(to_float(f16{uint16_t(got[4 * i + 1])})));
    EXPECT_TRUE(std::isnan(to_float(bf16{uint16_t(got[4 * i + 2] >> 16)})));
    EXPECT_TRUE(std::isnan(std::bit_cast<float>(got[4 * i + 3])));
  }
}

__global__ void widen_all(float* of_bf16, float* of_f16) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  of_bf16[i] = kernels::widen(bf16{uint16_t(i)});
  of_f16[i] = kernels::widen(f16{uint16_t(i)});
}

TEST(Twins, WideningIsExact) {
  const DeviceArray<float> of_bf16(65536), of_f16(65536);
  simt::launch(widen_all, 256, 256, 0, {}, of_bf16.data(), of_f16.data());
  const auto a = of_bf16.values(), b = of_f16.values();
  const auto same = [](float x, float y) {
    return std::isnan(y) ? std::isnan(x) : std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y);
  };
  for (unsigned i = 0; i < 65536; ++i) {
    ASSERT_TRUE(same(a[i], to_float(bf16{uint16_t(i)}))) << i;
    ASSERT_TRUE(same(b[i], to_float(f16{uint16_t(i)}))) << i;
  }
}

__global__ void vectors(bf16* out16, float* out32, const bf16* in16, const float* in32) {
  const int i = int(threadIdx.x);
  float x[8], y[4];
  kernels::load_vector(x, in16 + 8 * i);
  kernels::load_vector(y, in32 + 4 * i);
  for (float& v : x) v += 1;
  for (float& v : y) v += 1;
  kernels::store_vector(out16 + 8 * i, x);
  kernels::store_vector(out32 + 4 * i, y);
}

TEST(Twins, VectorsKeepTheOrderOfElements) {
  std::vector<bf16> in16(256);
  std::vector<float> in32(128);
  for (int i = 0; i < 256; ++i) in16[i] = to_bf16(float(i % 128));
  for (int i = 0; i < 128; ++i) in32[i] = float(i);
  const DeviceArray<bf16> din16(in16), out16(256);
  const DeviceArray<float> din32(in32), out32(128);
  simt::launch(vectors, 1, 32, 0, {}, out16.data(), out32.data(), din16.data(), din32.data());
  const auto got16 = out16.values();
  const auto got32 = out32.values();
  for (int i = 0; i < 256; ++i) EXPECT_EQ(to_float(got16[i]), float(i % 128 + 1));
  for (int i = 0; i < 128; ++i) EXPECT_EQ(got32[i], float(i + 1));
}

__global__ void count(int* ints, unsigned* words, unsigned long long* wide) {
  const int i = int(threadIdx.x);
  atomicAdd(&ints[0], i);
  atomicSub(&ints[1], i);
  atomicMax(&ints[2], i - 100);
  atomicMin(&ints[3], i - 100);
  atomicOr(&words[0], 1u << i % 32);
  atomicAnd(&words[1], ~(1u << i % 16));
  if (i == 7) atomicExch(&words[2], 99u);
  atomicCAS(&words[3], 0u, 5u);
  atomicAdd(&wide[0], 1ull << 32);
}

TEST(Twins, AtomicsLoseNothing) {
  const DeviceArray<int> ints(std::vector<int>{0, 0, -1000, 1000});
  const DeviceArray<unsigned> words(std::vector<unsigned>{0, ~0u, 0, 0});
  const DeviceArray<unsigned long long> wide(std::vector<unsigned long long>{0});
  simt::launch(count, 1, 96, 0, {}, ints.data(), words.data(), wide.data());
  EXPECT_EQ(ints.values(), (std::vector<int>{95 * 48, -95 * 48, -5, -100}));
  EXPECT_EQ(words.values(), (std::vector<unsigned>{~0u, 0xffff0000u, 99, 5}));
  EXPECT_EQ(wide.values()[0], 96ull << 32);
}

__global__ void bits(unsigned* out, unsigned x) {
  const unsigned values[] = {unsigned(__popc(x)), unsigned(__clz(int(x))), unsigned(__ffs(int(x))), __umulhi(x, x)};
  for (int i = 0; i < 4; ++i) out[i] = values[i];
}

TEST(Twins, BitsAreCounted) {
  const DeviceArray<unsigned> out(4);
  simt::launch(bits, 1, 1, 0, {}, out.data(), 0x00a00400u);
  EXPECT_EQ(out.values(), (std::vector<unsigned>{3, 8, 11, unsigned(uint64_t{0x00a00400} * 0x00a00400 >> 32)}));
  simt::launch(bits, 1, 1, 0, {}, out.data(), 0u);
  EXPECT_EQ(out.values(), (std::vector<unsigned>{0, 32, 0, 0}));
}

// A block whose last warp is not full, and votes of a block.
__global__ void odd_block(int* out) {
  const int i = int(threadIdx.x);
  const int warp_any = __any_sync(simt::kFullWarp, i == 39);
  const int all = __syncthreads_and(i < 40), none = __syncthreads_or(i > 40);
  out[i] = warp_any + 2 * all + 4 * none;
}

TEST(Twins, AWarpMayLackLanes) {
  const DeviceArray<int> out(40);
  simt::launch(odd_block, 1, 40, 0, {}, out.data());
  const auto got = out.values();
  for (int i = 0; i < 40; ++i) EXPECT_EQ(got[i], i < 32 ? 2 : 3) << i;
}

}  // namespace
}  // namespace hinoki
