// Products where the library multiplies: every storage, start, precision and fused sum, against sums in double. And the
// operands' sums on the CPU, which are the same contract.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/column_sum.h"
#include "kernels/gemm.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::gemm_cuda_test {
namespace {

using test::here;
using test::Operand;
using test::operator+;
using test::Values;

struct Case {
  int64_t m, n, k;
  bool a_transposed = false, b_transposed = false;
  enum Start { zero, bias, c } start = zero;
  bool a_sums = false, b_sums = false, accumulate_sums = false;
  int64_t slack = 0, shift = 0;  // added to leading dimensions; elements before the first of A
};

struct Inputs {
  int64_t lda, ldb, ldc;
  Values a, b, c, bias, sums;
};

Inputs inputs(const Case& x, bool rounded) {
  const auto values = [&](int64_t count, uint64_t seed) {
    const Values v = test::uniform_values(count, -1, 1, seed);
    return rounded ? test::rounded_to_bf16(v) : v;
  };
  Inputs in{.lda = (x.a_transposed ? x.m : x.k) + x.slack,
            .ldb = (x.b_transposed ? x.k : x.n) + x.slack,
            .ldc = x.n + x.slack,
            .a = {},
            .b = {},
            .c = {},
            .bias = values(x.n, 4),
            .sums = test::uniform_values(std::max(x.m, x.n), -1, 1, 5)};
  in.a = values(x.shift + (x.a_transposed ? x.k : x.m) * in.lda, 1);
  in.b = values((x.b_transposed ? x.n : x.k) * in.ldb, 2);
  in.c = values(x.m * in.ldc, 3);
  return in;
}

// C without its slack, then the sums of A, then those of B.
template <class In, class Out>
Values run(const Case& x, const Inputs& in) {
  Operand<In> a(in.a), b(in.b);
  Operand<Out> c(in.c, test::reads_if(x.start == Case::c)), bias(in.bias);
  using Sums = std::conditional_t<std::is_same_v<In, bf16>, float, In>;
  const test::Reads sums_are_read = test::reads_if(x.accumulate_sums);
  Operand<Sums> a_sums(Values(in.sums.begin(), in.sums.begin() + x.m), sums_are_read),
      b_sums(Values(in.sums.begin(), in.sums.begin() + x.n), sums_are_read);
  kernels::gemm.run(here(), {},
                    {.a = a.data() + x.shift,
                     .b = b.data(),
                     .c = c.data(),
                     .m = x.m,
                     .n = x.n,
                     .k = x.k,
                     .lda = in.lda,
                     .ldb = in.ldb,
                     .ldc = in.ldc,
                     .a_transposed = x.a_transposed,
                     .b_transposed = x.b_transposed,
                     .bias = x.start == Case::bias ? bias.data() : nullptr,
                     .accumulate = x.start == Case::c,
                     .a_sums = x.a_sums ? a_sums.data() : nullptr,
                     .b_sums = x.b_sums ? b_sums.data() : nullptr,
                     .accumulate_sums = x.accumulate_sums,
                     .dtype = dtype_of<In>(),
                     .b_dtype = dtype_of<In>(),
                     .c_dtype = dtype_of<Out>()});
  const Values all = c.values();
  Values out;
  for (int64_t i = 0; i < x.m; ++i) {
    out.insert(out.end(), all.begin() + i * in.ldc, all.begin() + i * in.ldc + x.n);
    for (int64_t j = x.n; j < in.ldc; ++j)
      EXPECT_EQ(all[i * in.ldc + j], in.c[i * in.ldc + j]) << "wrote into the slack";
  }
  if (x.a_sums) out = out + a_sums.values();
  if (x.b_sums) out = out + b_sums.values();
  return out;
}

struct Expected {
  Values values, tolerance;
  void add(double value, double size, int64_t terms, double rounding) {
    values.push_back(value);
    // Sums of f32 in any order, then one rounding to the type of the result; 1e-30 for results that cancel.
    tolerance.push_back((double(terms) + 2) * 0x1p-23 * size + rounding * (std::abs(value) + 1e-30));
  }
};

// `factor_error`: how far a product's factors are rounded away before they are multiplied.
Expected reference(const Case& x, const Inputs& in, double rounding, double factor_error = 0) {
  const auto a = [&](int64_t i, int64_t p) {
    return in.a[x.shift + (x.a_transposed ? p * in.lda + i : i * in.lda + p)];
  };
  const auto b = [&](int64_t p, int64_t j) { return in.b[x.b_transposed ? j * in.ldb + p : p * in.ldb + j]; };
  Expected e;
  for (int64_t i = 0; i < x.m; ++i)
    for (int64_t j = 0; j < x.n; ++j) {
      double sum = x.start == Case::bias ? in.bias[j] : x.start == Case::c ? in.c[i * in.ldc + j] : 0;
      double size = std::abs(sum);
      for (int64_t p = 0; p < x.k; ++p) sum += a(i, p) * b(p, j), size += std::abs(a(i, p) * b(p, j));
      e.add(sum, size, x.k, rounding);
      e.tolerance.back() += 2 * factor_error * size;
    }
  const auto add_sums = [&](int64_t count, const auto& term) {
    for (int64_t i = 0; i < count; ++i) {
      double sum = x.accumulate_sums ? in.sums[i] : 0, size = std::abs(sum);
      for (int64_t p = 0; p < x.k; ++p) sum += term(p, i), size += std::abs(term(p, i));
      e.add(sum, size, x.k, 0x1p-24);
      e.tolerance.back() += factor_error * size;
    }
  };
  if (x.a_sums) add_sums(x.m, [&](int64_t p, int64_t i) { return a(i, p); });
  if (x.b_sums) add_sums(x.n, [&](int64_t p, int64_t j) { return b(p, j); });
  return e;
}

std::string name_of_case(const Case& x) {
  return say(x.m, " x ", x.n, " x ", x.k, " a^T ", x.a_transposed, " b^T ", x.b_transposed, " start ", int(x.start),
             " sums ", x.a_sums, x.b_sums, x.accumulate_sums, " slack ", x.slack, " shift ", x.shift);
}

template <class In, class Out>
void check(const Case& x) {
  SCOPED_TRACE(name_of_case(x));
  const Inputs in = inputs(x, std::is_same_v<In, bf16>);
  const Expected e = reference(x, in, std::is_same_v<Out, bf16> ? 0x1p-8 : 0x1p-23);
  test::expect_on_cuda([&] { return run<In, Out>(x, in); }, e.values, e.tolerance);
}

// Sizes and strides that are multiples of 16 bytes, where everything is fused, and odd ones, where little is.
std::vector<Case> cases() {
  std::vector<Case> all;
  int turn = 0;
  for (const auto& [m, n, k, slack] : {std::array<int64_t, 4>{1, 1, 1, 0},
                                       {16, 32, 64, 0},
                                       {17, 5, 33, 0},
                                       {8, 24, 40, 8},
                                       {33, 31, 7, 3},
                                       {64, 16, 520, 0},
                                       {1, 40, 16, 0},
                                       {5, 8, 0, 2},
                                       {40, 48, 257, 1}})
    for (const int storage : {0, 1, 2, 3})
      for (const Case::Start start : {Case::zero, Case::bias, Case::c})
        all.push_back({.m = m,
                       .n = n,
                       .k = k,
                       .a_transposed = storage % 2 == 1,
                       .b_transposed = storage / 2 == 1,
                       .start = start,
                       .slack = slack,
                       .shift = turn++ % 7 == 3 ? 1 : 0});
  return all;
}

TEST(GemmOnCuda, MultipliesEveryStorageFromEveryStart) {
  for (const Case& x : cases()) {
    check<float, float>(x);
    check<bf16, bf16>(x);
    if (x.start != Case::bias) check<bf16, float>(x);
  }
}

// The bias gradient of either weight layout: fused, or by a kernel of its own where the library would not.
TEST(Gemm, SumsItsOperandsOnTheWay) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{16, 32, 64}, {17, 5, 33}, {8, 24, 300}, {3, 4, 0}})
    for (const bool of_a : {true, false})
      for (const bool accumulate : {false, true})
        for (const bool accumulate_sums : {false, true}) {
          const Case x{.m = m,
                       .n = n,
                       .k = k,
                       .a_transposed = of_a,
                       .b_transposed = false,
                       .start = accumulate ? Case::c : Case::zero,
                       .a_sums = of_a,
                       .b_sums = !of_a,
                       .accumulate_sums = accumulate_sums};
          SCOPED_TRACE(name_of_case(x));
          const Inputs in = inputs(x, false);
          const Expected e = reference(x, in, 0x1p-23);
          test::expect_kernel([&] { return run<float, float>(x, in); }, e.values, e.tolerance);
          check<float, float>(x);
          check<bf16, float>(x);
        }
  const Case both{.m = 16, .n = 32, .k = 64, .a_transposed = true, .a_sums = true, .b_sums = true};
  check<bf16, float>(both);
}

struct InTf32 {
  InTf32() { kernels::matmul_precision = kernels::MatmulPrecision::tf32; }
  ~InTf32() { kernels::matmul_precision = kernels::MatmulPrecision::f32; }
};

TEST(GemmOnCuda, RoundsFactorsToTf32WhenAsked) {
  if (!has_device(Device::cuda)) return;
  const Case x{.m = 32, .n = 48, .k = 64};
  const Inputs in = inputs(x, false);
  Values exact, rounded;
  const Expected precise = reference(x, in, 0x1p-23), coarse = reference(x, in, 0x1p-23, 0x1p-11);
  test::expect_on_cuda([&] { return exact = run<float, float>(x, in); }, precise.values, precise.tolerance);
  const InTf32 setting;
  test::expect_on_cuda([&] { return rounded = run<float, float>(x, in); }, coarse.values, coarse.tolerance);
  EXPECT_NE(exact, rounded);
}

TEST(GemmOnCuda, ChoosesOnceAndRecords) {
  if (!has_device(Device::cuda)) return;
  const Case x{.m = 24, .n = 40, .k = 88, .a_transposed = true, .a_sums = true};
  check<bf16, float>(x);
  ASSERT_NE(kernels::gemm_plans, nullptr);
  const std::vector<std::string> plans = kernels::gemm_plans();
  check<bf16, float>(x);
  EXPECT_EQ(kernels::gemm_plans(), plans) << "the same product again is no new plan";
  int named = 0;
  for (const std::string& plan : plans) named += plan.starts_with("gemm 24 x 40 x 88, bf16 to f32, A^T B, sums of A: ");
  EXPECT_EQ(named, 1);
}

void refused(Device device, const kernels::Gemm& g, const std::string& part) {
  EXPECT_ERROR(kernels::gemm.run(device, {}, g), Exit::failure, part);
}

TEST(Gemm, RefusesWhatItCannotDo) {
  kernels::Gemm g{.a = &g, .b = &g, .c = &g, .m = 1, .n = 1, .k = 1, .lda = 1, .ldb = 1, .ldc = 1, .a_sums = &g};
  const char* rows = "gemm: operands are summed over their rows, which must be k";
  refused(Device::cpu, g, rows);
  if (!has_device(Device::cuda)) return;
  refused(Device::cuda, g, rows);
  g.a_sums = nullptr, g.dtype = DType::f64;
  refused(Device::cuda, g, "gemm: on CUDA f32 or bf16 is multiplied, not f64");
  g.dtype = DType::f32, g.b_dtype = DType::bf16;
  refused(Device::cuda, g, "gemm: B is bf16 where A is f32");
  g.b_dtype = DType::f32, g.c_dtype = DType::bf16;
  refused(Device::cuda, g, "gemm: C is bf16 where A is f32");
  g.c_dtype = DType::f32, g.bias = &g, g.accumulate = true;
  refused(Device::cuda, g, "gemm: starts from the bias or from C, not from both");
  g.bias = nullptr, g.lda = 0;
  const std::vector<std::string> plans = kernels::gemm_plans();
  refused(Device::cuda, g, "CUDA: choosing an algorithm");
  EXPECT_EQ(kernels::gemm_plans(), plans) << "a product that was refused leaves no plan";
}

}  // namespace
}  // namespace hinoki::gemm_cuda_test
