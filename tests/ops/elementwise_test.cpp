#include <gtest/gtest.h>

#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::elementwise_test {
namespace {

using test::Inputs;
using test::uniform;

// An op on values of equal place, with its own reference.
void check_by_element(const Inputs& inputs, const std::function<Tensor(const Inputs&)>& run,
                      const std::function<double(double, double)>& value) {
  test::check_op({.inputs = inputs,
                  .run = [=](const Inputs& in) { return Inputs{run(in)}; },
                  .reference =
                      [=](const Inputs& in) {
                        Tensor y = empty_like(in[0]);
                        const auto a = test::values(in[0]), b = test::values(in.back());
                        for (int64_t i = 0; i < y.numel(); ++i) y.as<double>()[i] = value(a[i], b[i]);
                        return Inputs{y};
                      }},
                 1);
}

class ElementwiseOps : public testing::TestWithParam<int> {};

TEST_P(ElementwiseOps, AreTheirDefinitions) {
  const int64_t n = GetParam();
  const Inputs two{uniform({n, 3}, -1, 1, 1), uniform({n, 3}, -1, 1, 2)}, one{two[0]};
  check_by_element(
      two, [](const Inputs& in) { return add(in[0], in[1]); }, [](double a, double b) { return a + b; });
  check_by_element(
      two, [](const Inputs& in) { return mul(in[0], in[1]); }, [](double a, double b) { return a * b; });
  check_by_element(
      one, [](const Inputs& in) { return scale(in[0], -2.5); }, [](double a, double) { return -2.5 * a; });
  check_by_element(
      one, [](const Inputs& in) { return mul(in[0], in[0]); }, [](double a, double) { return a * a; });
}

TEST_P(ElementwiseOps, SumsEverything) {
  const int64_t n = GetParam();
  test::check_op({.inputs = {uniform({n, 3}, 0, 1, 1)},
                  .run = [](const Inputs& in) { return Inputs{sum(in[0])}; },
                  .reference =
                      [](const Inputs& in) {
                        Tensor y = zeros({}, DType::f64);
                        for (const double v : test::values(in[0])) *y.as<double>() += v;
                        return Inputs{y};
                      }},
                 3 * n);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ElementwiseOps, testing::Values(0, 1, 31, 32, 33, 1000, 40000));

TEST(Elementwise, TakesViews) {
  const Tensor x = uniform({4, 6}, -1, 1, 1), y = scale(transpose(x, 0, 1), 2);
  EXPECT_EQ(y.shape(), (Shape{6, 4}));
  EXPECT_EQ(y.as<double>()[4 * 5 + 3], 2 * x.as<double>()[3 * 6 + 5]);
}

// A gradient that two inputs share must not be overwritten by one of them.
TEST(Elementwise, SharedGradientsStayWhole) {
  const Tensor a = make_leaf(uniform({50}, -1, 1, 1)), b = make_leaf(uniform({50}, -1, 1, 2));
  const Tensor cotangent = uniform({50}, -1, 1, 3), before = test::to(cotangent, DType::f32);
  backward({add(scale(a, 3), scale(b, 5))}, {cotangent});
  EXPECT_TRUE(test::same_bits(test::to(cotangent, DType::f32), before));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(a.grad().as<double>()[i], 3 * cotangent.as<double>()[i]);
    EXPECT_EQ(b.grad().as<double>()[i], 5 * cotangent.as<double>()[i]);
  }
}

TEST(Cast, ChangesTheType) {
  const Tensor x = uniform({33}, -1, 1, 1);
  const Tensor there = cast(x, DType::f32), back = cast(there, DType::f64);
  EXPECT_EQ(there.dtype(), DType::f32);
  for (int i = 0; i < 33; ++i) EXPECT_EQ(back.as<double>()[i], double(float(x.as<double>()[i])));
  EXPECT_ERROR(cast(make_leaf(x), DType::f32), Exit::failure, "cast: no gradient passes from f32 to f64");
}

TEST(Elementwise, SaysWhatDoesNotFit) {
  EXPECT_ERROR(add(zeros({2, 3}, DType::f32), zeros({3, 2}, DType::f32)), Exit::failure,
               "add: f32[2, 3] and f32[3, 2]");
  EXPECT_ERROR(mul(zeros({2}, DType::f32), zeros({2}, DType::f64)), Exit::failure, "mul: f32[2] and f64[2]");
}

}  // namespace
}  // namespace hinoki::elementwise_test
