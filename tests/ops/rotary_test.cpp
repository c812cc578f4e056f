#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::rotary_test {
namespace {

using test::Inputs;
using test::uniform;

struct Turn {
  int64_t batch, time, heads, dim, dims, first = 0;
  double base = 10000, scaling = 1;
  QkvLayout layout = QkvLayout::per_head;
  Tensor positions = {};
};

Tensor reference(const Turn& t, const Tensor& qkv) {
  Tensor y = test::to(qkv, DType::f64);
  const bool per_head = t.layout == QkvLayout::per_head;
  for (int64_t row = 0; row < t.batch * t.time; ++row)
    for (int64_t h = 0; h < t.heads; ++h)
      for (const int64_t part : {0, 1})
        for (int64_t i = 0; i < t.dims / 2; ++i) {
          const int64_t head = per_head ? h * 3 + part : part * t.heads + h;
          const int64_t at = row * 3 * t.heads * t.dim + head * t.dim + i, pair = at + t.dims / 2;
          const int64_t p = t.positions.defined() ? t.positions.as<int32_t>()[row] : t.first + row % t.time;
          const double angle = double(p) / t.scaling * std::pow(t.base, -2 * double(i) / double(t.dims));
          const double *x = qkv.as<double>(), c = std::cos(angle), s = std::sin(angle);
          y.as<double>()[at] = x[at] * c - x[pair] * s;
          y.as<double>()[pair] = x[pair] * c + x[at] * s;
        }
  return y;
}

TEST(RotaryOp, TurnsQueriesAndKeys) {
  const Turn cases[] = {
      {.batch = 0, .time = 4, .heads = 2, .dim = 4, .dims = 4},
      {.batch = 1, .time = 1, .heads = 1, .dim = 2, .dims = 2, .first = 9},
      {.batch = 2, .time = 33, .heads = 3, .dim = 16, .dims = 4, .first = 2},
      {.batch = 2, .time = 5, .heads = 2, .dim = 64, .dims = 64, .base = 500, .scaling = 4},
      {.batch = 2, .time = 5, .heads = 2, .dim = 33, .dims = 32, .layout = QkvLayout::blocks},
      {.batch = 2, .time = 3, .heads = 2, .dim = 8, .dims = 8, .positions = test::integers({2, 3}, 0, 40, 5)},
  };
  for (const Turn& t : cases)
    test::check_op(
        {.inputs = {uniform({t.batch, t.time, 3 * t.heads * t.dim}, -1, 1, 1)},
         .run =
             [t](const Inputs& in) {
               const RotaryTable table =
                   rotary_table(40, t.dims, t.base, t.scaling, wide(in[0].dtype()), in[0].device());
               return Inputs{rotary(in[0], table, t.heads, t.layout, t.first, to_device(t.positions, in[0].device()))};
             },
         .reference = [t](const Inputs& in) { return Inputs{reference(t, in[0])}; }},
        40);
}

TEST(RotaryOp, UsesUpItsInputAndLeavesCotangentsAlone) {
  const Tensor x = make_leaf(uniform({1, 3, 12}, -1, 1, 1)), v = uniform({1, 3, 12}, -1, 1, 2),
               before = test::to(v, DType::f32);
  const Tensor y = rotary(x, rotary_table(3, 4, 10000, 1, DType::f64), 1, QkvLayout::per_head);
  EXPECT_EQ(y.data(), x.data());
  backward({y}, {v});
  EXPECT_TRUE(test::same_bits(test::to(v, DType::f32), before));
}

TEST(RotaryOp, SaysWhatDoesNotFit) {
  const RotaryTable table = rotary_table(10, 4, 10000, 1, DType::f32);
  EXPECT_ERROR(rotary(zeros({2, 3, 13}, DType::f32), table, 1, QkvLayout::per_head), Exit::failure,
               "rotary: qkv [2, 3, 13]");
  EXPECT_ERROR(rotary(zeros({2, 3, 12}, DType::f32), table, 1, QkvLayout::per_head, 8), Exit::failure,
               "rotary: position 10 is past the table's 10");
  EXPECT_ERROR(rotary(zeros({2, 3, 6}, DType::f32), table, 1, QkvLayout::per_head), Exit::failure,
               "rotary: 4 dimensions of a head of 2");
}

}  // namespace
}  // namespace hinoki::rotary_test
