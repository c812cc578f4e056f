#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::shape_test {
namespace {

using test::Inputs;
using test::uniform;

// Checks an op that moves elements: out[i] = in[place(i)].
void check_moves(const Shape& in, const Shape& out, const std::function<Tensor(const Tensor&)>& move,
                 const std::function<int64_t(int64_t)>& place) {
  test::check_op({.inputs = {uniform(in, -1, 1, 1)},
                  .run = [=](const Inputs& x) { return Inputs{contiguous(move(x[0]))}; },
                  .reference =
                      [=](const Inputs& x) {
                        Tensor y = empty(out, DType::f64);
                        for (int64_t i = 0; i < y.numel(); ++i) y.as<double>()[i] = x[0].as<double>()[place(i)];
                        return Inputs{y};
                      }},
                 1);
}

TEST(ShapeOps, MoveElements) {
  for (const int64_t n : {0, 1, 31, 33, 1000}) {
    check_moves(
        {n, 6}, {n, 2, 3},
        [n](const Tensor& x) {
          return reshape(x, {n, 2, 3});
        },
        [](int64_t i) { return i; });
    check_moves(
        {n, 5}, {5, n}, [](const Tensor& x) { return transpose(x, 0, 1); },
        [n](int64_t i) { return i % n * 5 + i / n; });
    check_moves(
        {n, 7}, {n, 3}, [](const Tensor& x) { return slice(x, 1, 2, 5); },
        [](int64_t i) { return i / 3 * 7 + 2 + i % 3; });
  }
  check_moves(
      {2, 3, 4, 5}, {4, 3, 2, 5}, [](const Tensor& x) { return transpose(x, 0, 2); },
      [](int64_t i) {
        const int64_t d = i % 5, a = i / 5 % 2, b = i / 10 % 3, c = i / 30;
        return ((a * 3 + b) * 4 + c) * 5 + d;
      });
}

TEST(ShapeOps, ShareMemoryWherePossible) {
  const Tensor x = uniform({4, 6}, -1, 1, 1);
  EXPECT_EQ(reshape(x, {24}).data(), x.data());
  EXPECT_EQ(transpose(x, 0, 1).data(), x.data());
  EXPECT_EQ(slice(x, 0, 2, 4).data(), x.as<double>() + 12);
  EXPECT_EQ(contiguous(x).data(), x.data());
}

TEST(ShapeOps, SayWhatDoesNotFit) {
  const Tensor x = uniform({4, 6}, -1, 1, 1);
  EXPECT_ERROR(reshape(x, {5, 5}), Exit::failure, "view: [4, 6] as [5, 5]");
  EXPECT_ERROR(reshape(transpose(x, 0, 1), {24}), Exit::failure, "is not contiguous");
  EXPECT_ERROR(slice(x, 1, 2, 7), Exit::failure, "narrow: [2, 7) of axis 1 of [4, 6]");
}

}  // namespace
}  // namespace hinoki::shape_test
