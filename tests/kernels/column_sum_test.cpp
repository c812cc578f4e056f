#include "kernels/column_sum.h"

#include <gtest/gtest.h>

#include "tests/support/kernel_check.h"

namespace hinoki::kernels {
namespace {

using namespace hinoki::test;

template <class T>
Values sum(const Values& x, int64_t rows, int64_t cols, int64_t stride, bool accumulate) {
  Operand<T> in(x), out(cols, T(2));
  column_sum.run(Device::cpu, {},
                 {.x = in.data(),
                  .sum = out.data(),
                  .accumulate = accumulate,
                  .rows = rows,
                  .cols = cols,
                  .stride = stride,
                  .dtype = dtype_of<T>()});
  return out.values();
}

TEST(ColumnSum, AddsRows) {
  for (const int64_t cols : {1, 31, 32, 33, 1000, 4099})
    for (const int64_t rows : {0, 1, 33, 70, 1000})
      for (const bool accumulate : {false, true}) {
        const int64_t stride = cols + 3;
        const Values x = uniform(rows * stride, -1, 1, 1);
        Values expected(cols, accumulate ? 2 : 0);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < cols; ++c) expected[c] += x[r * stride + c];
        // Up to 32 additions in a block and as many of blocks, of values below their sum of magnitudes.
        const double bound = 64 * double(rows + 2);
        expect_kernel([&] { return sum<float>(x, rows, cols, stride, accumulate); }, expected,
                      epsilon<float>() * bound);
        expect_kernel([&] { return sum<double>(x, rows, cols, stride, accumulate); }, expected,
                      epsilon<double>() * bound);
      }
}

}  // namespace
}  // namespace hinoki::kernels
