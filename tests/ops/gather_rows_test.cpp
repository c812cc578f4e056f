#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::gather_rows_test {
namespace {

using test::Inputs;
using test::integers;
using test::uniform;

Tensor reference(const Tensor& x, const Tensor& rows) {
  const int64_t cols = x.size(1);
  Tensor y = empty({rows.numel(), cols}, DType::f64);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.as<double>()[i] = x.as<double>()[rows.as<int32_t>()[i / cols] * cols + i % cols];
  return y;
}

void check(int64_t from, int64_t cols, const Tensor& rows) {
  test::check_op({.inputs = {uniform({from, cols}, -1, 1, 1), rows},
                  .run = [](const Inputs& in) { return Inputs{gather_rows(in[0], in[1])}; },
                  .reference = [](const Inputs& in) { return Inputs{reference(in[0], in[1])}; }},
                 rows.numel());
}

TEST(GatherRows, PicksRowsOnceAndOften) {
  for (const int64_t cols : {1, 32, 33, 256}) {
    check(40, cols, integers({33}, 0, 40, 2));
    check(3, cols, integers({65}, 0, 3, 2));  // each of them often
    check(7, cols, zeros({0}, DType::i32));
    Tensor backwards = zeros({31}, DType::i32);
    for (int i = 0; i < 31; ++i) backwards.as<int32_t>()[i] = 30 - i;
    check(31, cols, backwards);
  }
}

TEST(GatherRows, SaysWhatDoesNotFit) {
  const Tensor x = zeros({4, 3}, DType::f32);
  EXPECT_ERROR(gather_rows(x, integers({2}, 4, 5, 1)), Exit::failure, "gather_rows: row 4 at place 0 is not one of 4");
  EXPECT_ERROR(gather_rows(x, integers({2}, -1, 0, 1)), Exit::failure,
               "gather_rows: row -1 at place 0 is not one of 4");
  EXPECT_ERROR(gather_rows(x, zeros({2, 2}, DType::i32)), Exit::failure, "gather_rows: rows i32[2, 2]");
  EXPECT_ERROR(gather_rows(zeros({4}, DType::f32), zeros({2}, DType::i32)), Exit::failure, "gather_rows: x [4]");
}

}  // namespace
}  // namespace hinoki::gather_rows_test
