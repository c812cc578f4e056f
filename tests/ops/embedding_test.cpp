#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::embedding_test {
namespace {

using test::Inputs;
using test::integers;
using test::uniform;

Tensor reference(const Tensor& ids, const Tensor& table, const Tensor& positions, int64_t first) {
  Shape shape = ids.shape();
  const int64_t n = table.size(1), time = ids.size(-1);
  shape.push_back(n);
  Tensor y = empty(shape, DType::f64);
  for (int64_t r = 0; r < ids.numel(); ++r)
    for (int64_t i = 0; i < n; ++i)
      y.as<double>()[r * n + i] = table.as<double>()[ids.as<int32_t>()[r] * n + i] +
                                  (positions.defined() ? positions.as<double>()[(first + r % time) * n + i] : 0);
  return y;
}

TEST(EmbeddingOp, PicksRowsAndAddsPositions) {
  for (const Shape& shape : {Shape{0}, Shape{1}, Shape{33}, Shape{4, 31}, Shape{2, 3, 5}})
    for (const bool placed : {false, true})
      for (const int64_t width : {1, 32, 33}) {
        const Tensor positions = placed ? uniform({40, width}, -1, 1, 3) : Tensor();
        test::check_op({.inputs = {integers(shape, 0, 9, 1), uniform({9, width}, -1, 1, 2), positions},
                        .run = [](const Inputs& in) { return Inputs{embedding(in[0], in[1], in[2], 2)}; },
                        .reference = [](const Inputs& in) { return Inputs{reference(in[0], in[1], in[2], 2)}; }},
                       shape.numel());
      }
}

TEST(EmbeddingOp, ReadsStoredHalves) {
  const Tensor table = empty({2, 1}, DType::bf16);
  table.as<bf16>()[0] = {0x3f80};
  table.as<bf16>()[1] = {0xc000};
  EXPECT_EQ(test::values(embedding(integers({1}, 1, 2, 1), table)), std::vector<double>{-2});
  EXPECT_ERROR(embedding(integers({1}, 1, 2, 1), make_leaf(table)), Exit::failure, "takes no part in training");
}

// The second use of a table that the buffer already holds a gradient of adds to it.
TEST(EmbeddingOp, AddsIntoTheLeafsBuffer) {
  const Tensor buffer = empty({4, 3}, DType::f64), ids = integers({5}, 0, 4, 1);
  const Tensor table = make_leaf(uniform({4, 3}, -1, 1, 2), "table", buffer);
  const auto step = [&] { backward({sum(embedding(ids, table))}, {from_values<double>({}, std::array{1.0})}); };
  step();
  const std::vector<double> once = test::values(buffer);
  step();
  for (int i = 0; i < 12; ++i) EXPECT_EQ(buffer.as<double>()[i], 2 * once[i]);
}

TEST(EmbeddingOp, IsMadeAgainBitForBit) {
  const Tensor ids = integers({2, 3}, 0, 4, 1), table = make_leaf(uniform({4, 5}, -1, 1, 2));
  for (const Tensor& positions : {Tensor(), make_leaf(uniform({5, 5}, -1, 1, 3))}) {
    const Tensor y = embedding(ids, table, positions, positions.defined() ? 2 : 0);
    ASSERT_TRUE(y.remake());
    EXPECT_TRUE(test::same_bits((*y.remake())(), y));
    const NoGrad no_grad;
    EXPECT_FALSE(embedding(ids, table, positions).remake()) << "nobody asks for it";
  }
}

TEST(EmbeddingOp, SaysWhatDoesNotFit) {
  const Tensor table = zeros({4, 3}, DType::f32);
  EXPECT_ERROR(embedding(integers({2, 2}, 7, 8, 1), table), Exit::data,
               "embedding: id 7 at place 0 is not in a table of 4");
  EXPECT_ERROR(embedding(integers({2, 2}, 0, 4, 1), table, zeros({5, 3}, DType::f32), 4), Exit::failure,
               "embedding: position 5 is past the last of 5");
}

}  // namespace
}  // namespace hinoki::embedding_test
