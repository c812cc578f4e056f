#include "kernels/column_sum.h"

#include <gtest/gtest.h>

#include "tests/support/kernel_check.h"

namespace hinoki::kernels::column_sum_test {
namespace {

using namespace hinoki::test;

// Accumulates onto 2 if asked to. Sums of bf16 are kept in f32.
template <class T, class Sum = T>
Values sum(const Values& x, int64_t rows, int64_t cols, int64_t stride, bool accumulate) {
  Operand<T> in(x);
  Operand<Sum> out(cols, Sum(2), reads_if(accumulate));
  column_sum.run(here(), {},
                 {.x = in.data(),
                  .sum = out.data(),
                  .accumulate = accumulate,
                  .rows = rows,
                  .cols = cols,
                  .stride = stride,
                  .dtype = dtype_of<T>()});
  return out.values();
}

struct Case {
  int64_t rows, cols, stride;
  bool accumulate;
  Values x = rounded_to_bf16(uniform_values(rows * stride, -1, 1, 1));

  Values expected() const {
    Values sums(cols, accumulate ? 2 : 0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) sums[c] += x[r * stride + c];
    return sums;
  }
  // Up to 64 additions in a block and as many of blocks, of values below their sum of magnitudes.
  double bound() const { return 64 * double(rows + 2); }
};

void check_on_cuda(const Case& c) {
  const Values expected = c.expected();
  expect_on_cuda([&] { return sum<float>(c.x, c.rows, c.cols, c.stride, c.accumulate); }, expected,
                 epsilon<float>() * c.bound());
  expect_on_cuda([&] { return sum<bf16, float>(c.x, c.rows, c.cols, c.stride, c.accumulate); }, expected,
                 epsilon<float>() * c.bound());
}

TEST(ColumnSum, AddsRows) {
  for (const int64_t cols : {1, 31, 32, 33, 1000, 4099})
    for (const int64_t rows : {0, 1, 33, 70, 1000})
      for (const bool accumulate : {false, true}) {
        const Case c{rows, cols, cols + 3, accumulate};
        expect_kernel([&] { return sum<float>(c.x, rows, cols, c.stride, accumulate); }, c.expected(),
                      epsilon<float>() * c.bound());
        expect_kernel([&] { return sum<double>(c.x, rows, cols, c.stride, accumulate); }, c.expected(),
                      epsilon<double>() * c.bound());
      }
}

// Around the edges of a GPU's tiles: 64 rows; 32 columns, or by vectors 128 in f32 and 256 in bf16; 16 tiles in a
// round.
TEST(ColumnSum, AddsRowsInTiles) {
  for (const int64_t rows : {0, 1, 7, 8, 9, 63, 64, 65, 200}) {
    for (const int64_t cols : {1, 33, 300}) check_on_cuda({rows, cols, cols + 3, rows % 2 == 0});
    for (const int64_t cols : {8, 128, 256, 264, 512}) check_on_cuda({rows, cols, cols + 8, rows % 2 == 1});
  }
  check_on_cuda({1100, 40, 40, true});
  check_on_cuda({2100, 8, 8, false});
}

}  // namespace
}  // namespace hinoki::kernels::column_sum_test
