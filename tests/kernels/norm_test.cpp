#include "kernels/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/kernel_check.h"

namespace hinoki::kernels {
namespace {

using namespace hinoki::test;

constexpr int64_t kSizes[] = {0, 1, 31, 32, 33, 1000, 4099, kChunk - 1, kChunk, 3 * kChunk + 7};

template <class T>
Values sums(const Kernel<Sums>& op, const Values& x) {
  Operand<T> in(x);
  Operand<double> out(chunks_of(in.size()));
  op.run(Device::cpu, {}, {.x = in.data(), .sums = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

template <class T>
Values first_bad(const Values& x) {
  Operand<T> in(x);
  Operand<int64_t> out(chunks_of(in.size()));
  finite_check.run(Device::cpu, {}, {.x = in.data(), .first = out.data(), .count = in.size(), .dtype = dtype_of<T>()});
  return out.values();
}

TEST(Norm, SumsChunksInDouble) {
  for (const int64_t n : kSizes) {
    const Values x = uniform(n, -1, 1, 1);
    Values plain(chunks_of(n)), squared(chunks_of(n));
    for (int64_t i = 0; i < n; ++i) {
      plain[i / kChunk] += x[i];
      squared[i / kChunk] += x[i] * x[i];
    }
    const double tolerance = double(kChunk) * double(kChunk) * epsilon<double>() / 16;  // the reference's own error
    expect_kernel([&] { return sums<float>(chunk_sums, x); }, plain, tolerance);
    expect_kernel([&] { return sums<double>(chunk_sums, x); }, plain, tolerance);
    expect_kernel([&] { return sums<float>(squared_norms, x); }, squared, tolerance);
    expect_kernel([&] { return sums<double>(squared_norms, x); }, squared, tolerance);
  }
}

// Squares of the largest floats are no infinity in double.
TEST(Norm, DoesNotOverflow) { EXPECT_EQ(sums<float>(squared_norms, Values(4, 0x1p127)), (Values{0x1p256})); }

TEST(Norm, FindsWhatIsNotFinite) {
  for (const int64_t n : kSizes) {
    Values x = uniform(n, -1, 1, 1), expected(chunks_of(n), -1.0);
    expect_kernel([&] { return first_bad<float>(x); }, expected, 0);
    for (const auto& [at, value] : {std::pair{n - 1, NAN}, std::pair{n / 3, -INFINITY}, std::pair{n / 2, INFINITY}}) {
      if (n == 0) continue;
      x[at] = value;
    }
    for (int64_t i = n - 1; i >= 0; --i)
      if (!std::isfinite(x[i])) expected[i / kChunk] = double(i);
    expect_kernel([&] { return first_bad<float>(x); }, expected, 0);
    expect_kernel([&] { return first_bad<double>(x); }, expected, 0);
  }
}

}  // namespace
}  // namespace hinoki::kernels
