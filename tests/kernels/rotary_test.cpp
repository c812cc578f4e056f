#include "kernels/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::rotary_test {
namespace {

using namespace hinoki::test;

// Rows as GPT-NeoX packs them: for each head its query, key and value.
struct Case {
  int64_t rows, heads, dim, rotary_dims, time, offset = 0;
  double base = 10000, scaling = 1;
  std::vector<int32_t> positions = {};
  Values x = rounded_to_bf16(uniform_values(rows * heads * 3 * dim, -1, 1, 1));

  int64_t position(int64_t row) const { return positions.empty() ? row % time + offset : positions[row]; }
};

Values reference(const Case& c) {
  Values y = c.x;
  const int64_t half = c.rotary_dims / 2;
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t h = 0; h < c.heads; ++h)
      for (const int64_t part : {0, 1})
        for (int64_t i = 0; i < half; ++i) {
          const int64_t at = ((r * c.heads + h) * 3 + part) * c.dim + i;
          const double angle =
              double(c.position(r)) / c.scaling * std::pow(c.base, -2 * double(i) / double(c.rotary_dims));
          y[at] = c.x[at] * std::cos(angle) - c.x[at + half] * std::sin(angle);
          y[at + half] = c.x[at + half] * std::cos(angle) + c.x[at] * std::sin(angle);
        }
  return y;
}

// The tables are made on the CPU, in wide(dtype).
template <class T>
Values run(const Case& c, const Values& x, bool inverse = false) {
  using Wide = std::conditional_t<sizeof(T) == 2, float, T>;
  const int64_t half = c.rotary_dims / 2, table_rows = 100;
  std::vector<Wide> cosines(table_rows * half), sines(table_rows * half);
  rotary_table.run(Device::cpu, {},
                   {.cos = cosines.data(),
                    .sin = sines.data(),
                    .positions = table_rows,
                    .rotary_dims = c.rotary_dims,
                    .base = c.base,
                    .scaling = c.scaling,
                    .dtype = dtype_of<Wide>()});
  Operand<Wide> cos(cosines), sin(sines);
  Operand<T> data(x);
  Operand<int32_t> positions(c.positions);
  rotary.run(here(), {},
             {.data = data.data(),
              .rows = c.rows,
              .heads = c.heads,
              .row_stride = c.heads * 3 * c.dim,
              .head_stride = 3 * c.dim,
              .query_offset = 0,
              .key_offset = c.dim,
              .rotary_dims = c.rotary_dims,
              .cos = cos.data(),
              .sin = sin.data(),
              .table_rows = table_rows,
              .positions = c.positions.empty() ? nullptr : positions.data(),
              .time = c.time,
              .offset = c.offset,
              .inverse = inverse,
              .dtype = dtype_of<T>()});
  return data.values();
}

const Case kCases[] = {
    {.rows = 0, .heads = 2, .dim = 8, .rotary_dims = 8, .time = 4},
    {.rows = 1, .heads = 1, .dim = 2, .rotary_dims = 2, .time = 1, .offset = 7},
    {.rows = 33, .heads = 3, .dim = 31, .rotary_dims = 6, .time = 11},
    {.rows = 40, .heads = 2, .dim = 64, .rotary_dims = 64, .time = 20, .offset = 3, .base = 500, .scaling = 2.5},
    {.rows = 5, .heads = 2, .dim = 66, .rotary_dims = 66, .time = 1, .positions = {5, 0, 99, 3, 3}},
    {.rows = 9, .heads = 11, .dim = 96, .rotary_dims = 80, .time = 5},   // more than 256 pieces of a row
    {.rows = 70, .heads = 1, .dim = 16, .rotary_dims = 16, .time = 35},  // rows that share a block
};

TEST(Rotary, TurnsPairs) {
  for (const Case& c : kCases) {
    // Two products of numbers below 1, and a table rounded once.
    expect_everywhere([&] { return run<float>(c, c.x); }, reference(c), 4 * epsilon<float>());
    // The angle is at most 100, so its rounding moves the cosine by 100 epsilon.
    expect_kernel([&] { return run<double>(c, c.x); }, reference(c), 200 * epsilon<double>());
    expect_on_cuda([&] { return run<bf16>(c, c.x); }, reference(c), epsilon<bf16>());  // values below 2 rounded once
  }
}

TEST(Rotary, InverseTurnsBack) {
  for (const Case& c : kCases)
    expect_everywhere([&] { return run<float>(c, run<float>(c, c.x), true); }, c.x, 8 * epsilon<float>());
}

TEST(Rotary, InverseIsTheGradient) {
  const Case& c = kCases[2];
  const Values dy = uniform_values(int64_t(c.x.size()), -1, 1, 2);
  EXPECT_NEAR(dot(dy, run<double>(c, c.x)), dot(run<double>(c, dy, true), c.x), 1e-12);
  expect_derivative([&](const Values& x) { return dot(dy, run<double>(c, x)); }, c.x, run<double>(c, dy, true));
}

TEST(Rotary, NamesThePositionThatDoesNotFit) {
  Case c = kCases[4];
  c.positions[2] = 100;
  EXPECT_ERROR(run<float>(c, c.x), Exit::failure, "rotary: position 100 of row 2 is not in a table of 100");
  expect_on_cuda(
      [&] {
        EXPECT_ERROR(run<float>(c, c.x), Exit::failure, "rotary: position 100 of row 2 is not in a table of 100");
        return Values{};
      },
      Values{}, 0);
  c = kCases[2];
  c.offset = 90;
  EXPECT_ERROR(run<float>(c, c.x), Exit::failure, "rotary: positions up to 101 do not fit in a table of 100");
}

}  // namespace
}  // namespace hinoki::kernels::rotary_test
