#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/kernel_check.h"

namespace hinoki::kernels::norm_test {
namespace {

using namespace hinoki::test;

constexpr int64_t kSizes[] = {0, 1, 31, 32, 33, 1000, 4099, kChunk - 1, kChunk, 3 * kChunk + 7};

template <class T>
Values sums(const Kernel<Sums>& op, const Values& x) {
  Operand<T> in(x);
  Operand<double> out(chunks_of(in.size()));
  op.run(here(), {}, {.x = in.data(), .sums = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

template <class T>
Values first_bad(const Values& x) {
  Operand<T> in(x);
  Operand<int64_t> out(chunks_of(in.size()));
  finite_check.run(here(), {}, {.x = in.data(), .first = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

TEST(Norm, SumsChunksInDouble) {
  for (const int64_t n : kSizes) {
    const Values x = uniform_values(n, -1, 1, 1);
    Values plain(chunks_of(n)), squared(chunks_of(n));
    for (int64_t i = 0; i < n; ++i) {
      plain[i / kChunk] += x[i];
      squared[i / kChunk] += x[i] * x[i];
    }
    const double tolerance = double(kChunk) * double(kChunk) * epsilon<double>() / 16;  // the reference's own error
    expect_everywhere([&] { return sums<float>(chunk_sums, x); }, plain, tolerance);
    expect_kernel([&] { return sums<double>(chunk_sums, x); }, plain, tolerance);
    expect_everywhere([&] { return sums<float>(squared_norms, x); }, squared, tolerance);
    expect_kernel([&] { return sums<double>(squared_norms, x); }, squared, tolerance);
  }
}

TEST(Norm, ReadsBf16) {
  for (const int64_t n : {1, 31, 4099, int(kChunk + 9)}) {
    Values x = rounded_to_bf16(uniform_values(n, -1, 1, 1)), squared(chunks_of(n)), first(chunks_of(n), -1.0);
    for (int64_t i = 0; i < n; ++i) squared[i / kChunk] += x[i] * x[i];
    expect_on_cuda([&] { return sums<bf16>(squared_norms, x); }, squared, double(n) * double(n) * epsilon<double>());
    x[n - 1] = -INFINITY;
    first.back() = double(n - 1);
    expect_on_cuda([&] { return first_bad<bf16>(x); }, first, 0);
  }
}

// Not a multiple of 16 bytes behind an aligned address.
TEST(Norm, ReadsFromAnyPlace) {
  const Values x = uniform_values(1001, -1, 1, 1);
  double expected = 0;
  for (size_t i = 1; i < x.size(); ++i) expected += x[i] * x[i];
  const auto run = [&] {
    Operand<float> in(x);
    Operand<double> out(1);
    squared_norms.run(here(), {}, {.x = in.data() + 1, .sums = out.data(), .count = 1000, .dtype = DType::f32});
    return out.values();
  };
  expect_everywhere(run, {expected}, 1e-10);
}

// Squares of the largest floats are no infinity in double.
TEST(Norm, DoesNotOverflow) { EXPECT_EQ(sums<float>(squared_norms, Values(4, 0x1p127)), (Values{0x1p256})); }

TEST(Norm, FindsWhatIsNotFinite) {
  for (const int64_t n : kSizes) {
    Values x = uniform_values(n, -1, 1, 1), expected(chunks_of(n), -1.0);
    expect_everywhere([&] { return first_bad<float>(x); }, expected, 0);
    for (const auto& [at, value] : {std::pair{n - 1, NAN}, std::pair{n / 3, -INFINITY}, std::pair{n / 2, INFINITY}}) {
      if (n == 0) continue;
      x[at] = value;
    }
    for (int64_t i = n - 1; i >= 0; --i)
      if (!std::isfinite(x[i])) expected[i / kChunk] = double(i);
    expect_everywhere([&] { return first_bad<float>(x); }, expected, 0);
    expect_kernel([&] { return first_bad<double>(x); }, expected, 0);
  }
}

}  // namespace
}  // namespace hinoki::kernels::norm_test
