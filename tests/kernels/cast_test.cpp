#include "kernels/cast.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::cast_test {
namespace {

using namespace hinoki::test;

// What 16 bits mean, from the definition of the formats.
double meaning(uint16_t bits, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1), fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 2 * bias + 1) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(1 + std::ldexp(fraction, -fraction_bits), exponent - bias);
}

template <class From, class To>
Values convert(const std::vector<From>& x, DType from, DType to) {
  Operand<From> in(x);
  Operand<To> y(int64_t(x.size()));
  cast.run(here(), {}, {.x = in.data(), .y = y.data(), .count = y.size(), .from = from, .to = to});
  return y.values();
}

TEST(Cast, WidensEveryHalf) {
  std::vector<uint16_t> all;
  Values as_bf16, as_f16;
  for (int bits = 0; bits < 65536; ++bits) {
    all.push_back(uint16_t(bits));
    as_bf16.push_back(meaning(uint16_t(bits), 8));
    as_f16.push_back(meaning(uint16_t(bits), 5));
  }
  expect_everywhere([&] { return convert<uint16_t, float>(all, DType::bf16, DType::f32); }, as_bf16, 0);
  expect_kernel([&] { return convert<uint16_t, double>(all, DType::bf16, DType::f64); }, as_bf16, 0);
  expect_everywhere([&] { return convert<uint16_t, float>(all, DType::f16, DType::f32); }, as_f16, 0);
}

TEST(Cast, RoundsToTheNearestBfloat) {
  std::vector<float> x = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3.4e38f, 1e-40f};
  for (uint64_t bits = 0; bits < 1ull << 32; bits += 65521 * 3) x.push_back(std::bit_cast<float>(uint32_t(bits)));
  for (int i = 0; i < 64; ++i) x.push_back(std::bit_cast<float>(0x3f808000u + 0x8000u * i));  // ties and even values
  Values expected;
  for (const float v : x) {
    const uint32_t bits = std::bit_cast<uint32_t>(v);
    const uint16_t below = uint16_t(bits >> 16), above = uint16_t(below + 1);
    const uint32_t rest = bits & 0xffff;
    expected.push_back(std::isnan(v) ? below | 64 : rest > 0x8000 || (rest == 0x8000 && below % 2) ? above : below);
  }
  expect_everywhere([&] { return convert<float, uint16_t>(x, DType::f32, DType::bf16); }, expected, 0);
}

TEST(Cast, ChangesPrecision) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000, 4099, 100000}) {
    const Values x = uniform_values(n, -1, 1, 1);
    const std::vector<float> narrow(x.begin(), x.end());
    expect_kernel([&] { return convert<float, double>(narrow, DType::f32, DType::f64); }, x, 0);
    expect_kernel([&] { return convert<double, float>(x, DType::f64, DType::f32); }, x, 0);
    expect_everywhere([&] { return convert<float, float>(narrow, DType::f32, DType::f32); }, x, 0);
  }
}

// Sizes around the vectors of a GPU, with a rest at the end, and addresses that are not aligned.
TEST(Cast, TakesAnyCountAndAddress) {
  for (const int64_t n : {1, 7, 8, 9, 4099})
    for (const int64_t skip : {0, 1}) {
      const Values x = rounded_to_bf16(uniform_values(n, -1, 1, 1));
      Values expected(x.begin() + skip, x.end());
      expected.insert(expected.begin(), size_t(skip), 77);
      expect_everywhere(
          [&] {
            Operand<float> wide(x), back(n);
            Operand<bf16> halves(n);
            cast.run(here(), {},
                     {.x = wide.data() + skip,
                      .y = halves.data() + skip,
                      .count = n - skip,
                      .from = DType::f32,
                      .to = DType::bf16});
            cast.run(here(), {},
                     {.x = halves.data() + skip,
                      .y = back.data() + skip,
                      .count = n - skip,
                      .from = DType::bf16,
                      .to = DType::f32});
            return back.values();
          },
          expected, 0);
    }
}

TEST(Cast, RefusesDoubleOnCuda) {
  if (has_device(Device::cuda))
    EXPECT_ERROR(
        cast.run(Device::cuda, {}, {.x = nullptr, .y = nullptr, .count = 1, .from = DType::f64, .to = DType::f32}),
        Exit::failure, "cast: from f64 to f32 is not provided on CUDA");
}

TEST(Cast, RefusesIntegers) {
  EXPECT_ERROR((convert<float, int32_t>({1.0f}, DType::f32, DType::i32)), Exit::failure,
               "cast: from f32 to i32 is not provided");
}

}  // namespace
}  // namespace hinoki::kernels::cast_test
