#include "kernels/embedding.h"

#include <gtest/gtest.h>

#include "core/base/half.h"
#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::embedding_test {
namespace {

using namespace hinoki::test;

std::vector<int32_t> some_ids(int64_t rows, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (const double v : uniform_values(rows, 0, double(vocabulary), 9))
    ids.push_back(int32_t(std::min<int64_t>(int64_t(v), vocabulary - 1)));
  return ids;
}

struct Case {
  int64_t rows, cols, vocabulary, time = 7, first = 2;
  bool positioned = true;
  std::vector<int32_t> ids = some_ids(rows, vocabulary);
  Values table = uniform_values(vocabulary * cols, -1, 1, 1), positions = uniform_values(20 * cols, -1, 1, 2),
         dy = uniform_values(rows * cols, -1, 1, 3);
};

Values reference(const Case& c) {
  Values y;
  for (int64_t r = 0; r < c.rows; ++r)
    for (int64_t i = 0; i < c.cols; ++i)
      y.push_back(c.table[c.ids[r] * c.cols + i] +
                  (c.positioned ? c.positions[(c.first + r % c.time) * c.cols + i] : 0));
  return y;
}

template <class T>
Values run(const Case& c) {
  Operand<int32_t> ids(c.ids);
  Operand<T> table(c.table), positions(c.positions), y(c.rows * c.cols);
  embedding.run(here(), {},
                {.ids = ids.data(),
                 .table = table.data(),
                 .positions = c.positioned ? positions.data() : nullptr,
                 .y = y.data(),
                 .rows = c.rows,
                 .cols = c.cols,
                 .vocabulary = c.vocabulary,
                 .position_count = 20,
                 .time = c.time,
                 .first_position = c.first,
                 .dtype = dtype_of<T>()});
  return y.values();
}

template <class T>
Values backward(const Case& c, bool of_positions, bool accumulate) {
  const int64_t count = of_positions ? 20 : c.vocabulary;
  using Sum = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  Operand<int32_t> ids(c.ids);
  Operand<T> dy(c.dy);
  Operand<Sum> dtable(count * c.cols, Sum(0.5), reads_if(accumulate));
  embedding_grad.run(here(), {},
                     {.dy = dy.data(),
                      .ids = of_positions ? nullptr : ids.data(),
                      .dtable = dtable.data(),
                      .accumulate = accumulate,
                      .rows = c.rows,
                      .cols = c.cols,
                      .vocabulary = count,
                      .time = c.time,
                      .first = c.first,
                      .dtype = dtype_of<T>()});
  return dtable.values();
}

const Case kCases[] = {
    {.rows = 0, .cols = 5, .vocabulary = 3},
    {.rows = 1, .cols = 1, .vocabulary = 1},
    {.rows = 33, .cols = 31, .vocabulary = 10, .positioned = false},
    {.rows = 1000, .cols = 33, .vocabulary = 100},
    {.rows = 70, .cols = 400, .vocabulary = 1030},
    {.rows = 70, .cols = 32, .vocabulary = 2, .positioned = false},
};

TEST(Embedding, CopiesRows) {
  for (const Case& c : kCases) {
    expect_everywhere([&] { return run<float>(c); }, reference(c), epsilon<float>());
    // Inputs below 1 and their sum are each rounded once.
    expect_on_cuda([&] { return run<bf16>(c); }, reference(c), 2 * epsilon<bf16>());
    expect_kernel([&] { return run<double>(c); }, reference(c), 0);
  }
}

TEST(Embedding, GradientAddsRowsOfAnId) {
  for (const Case& c : kCases)
    for (const bool of_positions : {false, true})
      for (const bool accumulate : {false, true}) {
        Values expected((of_positions ? 20 : c.vocabulary) * c.cols, accumulate ? 0.5 : 0);
        for (int64_t r = 0; r < c.rows; ++r)
          for (int64_t i = 0; i < c.cols; ++i)
            expected[(of_positions ? c.first + r % c.time : c.ids[r]) * c.cols + i] += c.dy[r * c.cols + i];
        // At most c.rows additions of values below c.rows.
        const double tolerance = epsilon<float>() * double(2 + c.rows * c.rows / 20);
        expect_everywhere([&] { return backward<float>(c, of_positions, accumulate); }, expected, tolerance);
        // Values below 1 are rounded; their sums are not.
        expect_on_cuda([&] { return backward<bf16>(c, of_positions, accumulate); }, expected,
                       tolerance + double(c.rows) * epsilon<bf16>() / 2);
        expect_kernel([&] { return backward<double>(c, of_positions, accumulate); }, expected, 0);
      }
}

TEST(Embedding, GradientIsTheDerivative) {
  const Case c = kCases[2];
  expect_derivative(
      [&](const Values& table) {
        Case moved = c;
        moved.table = table;
        return dot(c.dy, run<double>(moved));
      },
      c.table, backward<double>(c, false, false));
}

// Values that 16 bits hold come back exactly.
TEST(Embedding, ReadsHalfPrecisionTables) {
  const auto run = [](int64_t cols) {  // repeats the two columns
    Values table, positions;
    for (const auto& [a, b] : {std::pair{0x3f80, 0xc000}, std::pair{0x3e80, 0x0000}})
      for (int64_t c = 0; c < cols; ++c) table.push_back(c % 2 == 0 ? a : b);
    for (const auto& [a, b] : {std::pair{0x3c00, 0xc000}, std::pair{0x3400, 0x0001}})
      for (int64_t c = 0; c < cols; ++c) positions.push_back(c % 2 == 0 ? a : b);
    Operand<uint16_t> bits(table), half_bits(positions);
    Operand<int32_t> ids(std::vector<int32_t>{1, 0});
    Operand<float> y(2 * cols);
    embedding.run(here(), {},
                  {.ids = ids.data(),
                   .table = bits.data(),
                   .positions = half_bits.data(),
                   .y = y.data(),
                   .rows = 2,
                   .cols = cols,
                   .vocabulary = 2,
                   .position_count = 2,
                   .time = 2,
                   .dtype = DType::f32,
                   .table_dtype = DType::bf16,
                   .positions_dtype = DType::f16});
    return y.values();
  };
  for (const int64_t cols : {2, 16}) {
    Values expected;
    for (const auto& [a, b] : {std::pair{0.25 + 1, 0. - 2}, std::pair{1 + 0.25, double(-2 + 0x1p-24f)}})
      for (int64_t c = 0; c < cols; ++c) expected.push_back(c % 2 == 0 ? a : b);
    expect_everywhere([&] { return run(cols); }, expected, 0);
  }
}

TEST(Embedding, NamesTheIdThatIsNotInTheTable) {
  Case c = kCases[2];
  for (const int32_t bad : {-1, 10}) {
    c.ids[4] = bad;
    EXPECT_ERROR(run<float>(c), Exit::data, say("embedding: id ", bad, " at place 4 is not in a table of 10"));
  }
  c.ids[2] = 1000;
  const auto run_on_cuda = [&] {
    EXPECT_ERROR(run<float>(c), Exit::data, "embedding: id 1000 at place 2 is not in a table of 10");
    return run<float>(kCases[2]);  // once reported, it is over
  };
  expect_on_cuda(run_on_cuda, reference(kCases[2]), epsilon<float>());
  c = kCases[3];
  c.first = 14;
  EXPECT_ERROR(run<float>(c), Exit::failure, "embedding: positions up to 21 do not fit in a table of 20");
}

}  // namespace
}  // namespace hinoki::kernels::embedding_test
