// Products that take GELU along, fused by the library or followed by our kernel: U = A B + bias with C = gelu(U), and
// back, C = A B gelu'(U), against both in double.
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/device.h"
#include "kernels/gemm.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::gemm_gelu_test {
namespace {

using namespace hinoki::test;

struct Case {
  int64_t m, n, k;
  bool b_transposed, biased, back;
  int64_t shift = 0;  // elements before the first of A
  Values a = values(shift + m * k, 1), b = values(k * n, 2), bias = values(n, 3), u = values(m * n, 4, 4);

  static Values values(int64_t count, uint64_t seed, double size = 1) {
    return rounded_to_bf16(uniform_values(count, -size, size, seed));
  }
};

// u = sqrt(2 / pi) (x + 0.044715 x^3)
double tanh_of(double x) { return std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)); }
double gelu(double x) { return 0.5 * x * (1 + tanh_of(x)); }
double slope(double x) {
  const double t = tanh_of(x);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / M_PI) * (1 + 0.134145 * x * x);
}

// C, and U behind it where that is a result.
template <class T>
Values run(const Case& x) {
  Operand<T> a(x.a), b(x.b), bias(x.bias), c(x.m * x.n), kept(x.m * x.n), given(x.u);
  kernels::gemm.run(here(), {},
                    {.a = a.data() + x.shift,
                     .b = b.data(),
                     .c = c.data(),
                     .m = x.m,
                     .n = x.n,
                     .k = x.k,
                     .lda = x.k,
                     .ldb = x.b_transposed ? x.k : x.n,
                     .ldc = x.n,
                     .b_transposed = x.b_transposed,
                     .bias = x.biased ? bias.data() : nullptr,
                     .pre_gelu = x.back ? nullptr : kept.data(),
                     .dgelu_at = x.back ? given.data() : nullptr,
                     .dtype = dtype_of<T>()});
  return x.back ? c.values() : c.values() + kept.values();
}

template <class T>
void check(const Case& x) {
  SCOPED_TRACE(say(x.m, " x ", x.n, " x ", x.k, " b^T ", x.b_transposed, " bias ", x.biased, " back ", x.back,
                   " shift ", x.shift));
  constexpr double kSteepest = 1.13, kEps = epsilon<float>(), kRounding = std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-23;
  Values c, u, c_tolerance, u_tolerance;
  for (int64_t i = 0; i < x.m; ++i)
    for (int64_t j = 0; j < x.n; ++j) {
      double sum = x.biased ? x.bias[j] : 0, size = std::abs(sum);
      for (int64_t p = 0; p < x.k; ++p) {
        const double term = x.a[x.shift + i * x.k + p] * x.b[x.b_transposed ? j * x.k + p : p * x.n + j];
        sum += term, size += std::abs(term);
      }
      // A sum in f32 in any order; rounded to T before GELU or not, and after it; GELU's own error (kernels/cuda).
      const double error = (double(x.k) + 2) * 0x1p-23 * size + kRounding * std::abs(sum);
      u.push_back(sum), u_tolerance.push_back(error);
      c.push_back(x.back ? sum * slope(x.u[i * x.n + j]) : gelu(sum));
      c_tolerance.push_back(kSteepest * error + 8 * kEps * std::abs(sum) + kRounding * std::abs(c.back()));
    }
  expect_on_cuda([&] { return run<T>(x); }, x.back ? c : c + u, x.back ? c_tolerance : c_tolerance + u_tolerance);
}

// Sizes and strides that are multiples of 16 bytes and of 8 elements, where GELU can be fused, and others.
TEST(GemmWithGelu, GivesItsInputAndItsGradient) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{1, 8, 8},
                                {16, 32, 64},
                                {24, 16, 520},
                                {17, 5, 33},
                                {9, 12, 16},
                                {4, 16, 0},
                                {0, 16, 16}})
    for (const bool b_transposed : {false, true})
      for (const auto& [biased, back] : {std::pair{false, false}, {true, false}, {false, true}})
        for (const int64_t shift : {0, 1}) {
          const Case x{m, n, k, b_transposed, biased, back, shift};
          check<float>(x);
          check<bf16>(x);
        }
}

TEST(GemmWithGelu, IsRecordedAsAKindOfItsOwn) {
  if (!has_device(Device::cuda)) return;
  for (const auto& [biased, back] : {std::pair{false, false}, {true, false}, {false, true}}) {
    check<bf16>({40, 24, 56, true, biased, back});
    check<float>({40, 24, 56, true, biased, back});
  }
  const bool twin = cuda_device->every_block_its_own;  // which fuses all three; the library says what it does
  int plain = 0, biased = 0, back = 0;
  for (const std::string& plan : kernels::gemm_plans()) {
    if (!plan.starts_with("gemm 40 x 24 x 56")) continue;
    const bool f32 = plan.find(", f32 to f32,") != std::string::npos;
    EXPECT_TRUE(!f32 || plan.find("GELU") == std::string::npos) << "our kernel is exact: " << plan;
    EXPECT_TRUE(!twin || plan.find("not fused") == std::string::npos) << plan;
    plain += plan.starts_with("gemm 40 x 24 x 56, bf16 to bf16, A B^T, GELU: ");
    biased += plan.starts_with("gemm 40 x 24 x 56, bf16 to bf16, A B^T + bias, GELU: ");
    back += plan.starts_with("gemm 40 x 24 x 56, bf16 to bf16, A B^T, GELU's gradient: ");
  }
  EXPECT_EQ(std::tie(plain, biased, back), std::tuple(1, 1, 1));
}

void refused(Device device, const kernels::Gemm& g, const std::string& part) {
  EXPECT_ERROR(kernels::gemm.run(device, {}, g), Exit::failure, part);
}

TEST(GemmWithGelu, RefusesWhatItCannotDo) {
  char any = 0;
  kernels::Gemm g{
      .a = &any, .b = &any, .c = &any, .m = 1, .n = 8, .k = 1, .lda = 1, .ldb = 8, .ldc = 8, .pre_gelu = &any};
  refused(Device::cpu, g, "gemm: products take GELU along on CUDA only");
  if (!has_device(Device::cuda)) return;
  const char *alone = "gemm: GELU goes with a bias, and its gradient with nothing else",
             *laid_out = "gemm: GELU's arrays";
  kernels::Gemm other = g;
  other.accumulate = true;
  refused(Device::cuda, other, alone);
  other = g, other.b_sums = &any;
  refused(Device::cuda, other, alone);
  other = g, other.dgelu_at = &any;
  refused(Device::cuda, other, alone);
  other.pre_gelu = nullptr, other.bias = &any;
  refused(Device::cuda, other, alone);
  other = g, other.ldc = 9;
  refused(Device::cuda, other, laid_out);
  other = g, other.dtype = other.b_dtype = DType::bf16;
  refused(Device::cuda, other, laid_out);
}

}  // namespace
}  // namespace hinoki::gemm_gelu_test
