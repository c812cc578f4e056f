#include "kernels/dropout.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::dropout_test {
namespace {

using namespace hinoki::test;

const RandomKey kKey{.seed = 11, .site = hash_name("mlp"), .step = 5};

template <class T>
Values run(const Values& x, double p, int64_t first_index, const Values& residual = {}) {
  Operand<T> in(x), other(residual), y(int64_t(x.size()));
  dropout.run(here(), {},
              {.x = in.data(),
               .residual = residual.empty() ? nullptr : other.data(),
               .y = y.data(),
               .count = in.size(),
               .first_index = first_index,
               .p = p,
               .key = kKey,
               .dtype = dtype_of<T>()});
  return y.values();
}

Values reference(const Values& x, double p, int64_t first_index, const Values& residual = {}) {
  Values y;
  for (size_t i = 0; i < x.size(); ++i) {
    const uint64_t e = uint64_t(first_index) + i;
    const bool keep = double(philox(kKey, e / 4)[e % 4]) * 0x1p-32 >= p;
    y.push_back((keep ? x[i] / (1 - p) : 0) + (residual.empty() ? 0 : residual[i]));
  }
  return y;
}

TEST(Dropout, KeepsWhatPhiloxSays) {
  for (const int64_t n : {0, 1, 31, 32, 33, 1000, 4099, 40000})
    for (const double p : {0.0, 0.1, 0.5, 0.999})
      for (const int64_t first : {int64_t{0}, int64_t{3}, (int64_t{1} << 34) - 7}) {
        const Values x = rounded_to_bf16(uniform_values(n, -1, 1, 1)),
                     residual = rounded_to_bf16(uniform_values(n, -1, 1, 2));
        const Values alone = reference(x, p, first), added = reference(x, p, first, residual);
        // One rounding of the factor, one of the product, one of the sum; 1 / (1 - p) <= 1000.
        const double size = 1 / (1 - p) + 1;
        expect_everywhere([&] { return run<float>(x, p, first); }, alone, 2 * size * epsilon<float>());
        expect_kernel([&] { return run<double>(x, p, first, residual); }, added, 2 * size * epsilon<double>());
        expect_on_cuda([&] { return run<float>(x, p, first, residual); }, added, 2 * size * epsilon<float>());
        expect_on_cuda([&] { return run<bf16>(x, p, first); }, alone, size * epsilon<bf16>());
        expect_on_cuda([&] { return run<bf16>(x, p, first, residual); }, added, size * epsilon<bf16>());
      }
}

// A batch cut in two drops what the whole batch drops.
TEST(Dropout, DependsOnTheGlobalIndexAlone) {
  const Values x = uniform_values(1000, -1, 1, 1), whole = run<float>(x, 0.3, 70);
  for (const int64_t cut : {1, 2, 333, 640})
    EXPECT_EQ(whole, run<float>(Values(x.begin(), x.begin() + cut), 0.3, 70) +
                         run<float>(Values(x.begin() + cut, x.end()), 0.3, 70 + cut));
}

// 100,000 draws with p = 0.1: the number dropped has deviation 95; six deviations are allowed.
TEST(Dropout, DropsItsShare) {
  int64_t dropped = 0;
  for (const double y : run<float>(Values(100000, 1.0), 0.1, 0)) dropped += y == 0;
  EXPECT_NEAR(double(dropped), 10000, 6 * 95);
}

// Addresses after an aligned one, and arrays that are outputs as well.
TEST(Dropout, WorksInPlaceAtAnyAddress) {
  for (const int64_t skip : {0, 1}) {
    const Values x = uniform_values(1001, -1, 1, 1);
    Values expected = reference(Values(x.begin() + skip, x.end()), 0.5, 8);
    expected.insert(expected.begin(), x.begin(), x.begin() + skip);
    expect_everywhere(
        [&] {
          Operand<float> v(x);
          dropout.run(here(), {},
                      {.x = v.data() + skip,
                       .y = v.data() + skip,
                       .count = v.size() - skip,
                       .first_index = 8,
                       .p = 0.5,
                       .key = kKey,
                       .dtype = DType::f32});
          return v.values();
        },
        expected, 0);
  }
}

TEST(Dropout, RefusesAProbabilityOfOne) {
  EXPECT_ERROR(run<float>(Values{1.0}, 1, 0), Exit::failure, "dropout: probability 1 is not in [0, 1)");
}

}  // namespace
}  // namespace hinoki::kernels::dropout_test
