#include "kernels/bias_gelu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/kernel_check.h"

namespace hinoki::kernels::bias_gelu_test {
namespace {

using namespace hinoki::test;

double exact(GeluForm form, double x) {
  if (form == GeluForm::erf) return 0.5 * x * (1 + std::erf(x * std::sqrt(0.5)));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

struct Case {
  int64_t rows, cols;
  GeluForm form;
  bool biased = true;
  Values x = rounded_to_bf16(uniform_values(rows * cols, -5, 5, 1)),
         bias = rounded_to_bf16(uniform_values(cols, -1, 1, 2));
  Values dy = rounded_to_bf16(uniform_values(rows * cols, -1, 1, 3));
};

template <class T>
Values forward(const Case& c) {
  Operand<T> x(c.x), bias(c.bias), y(c.rows * c.cols);
  bias_gelu.run(here(), {},
                {.x = x.data(),
                 .bias = c.biased ? bias.data() : nullptr,
                 .y = y.data(),
                 .rows = c.rows,
                 .cols = c.cols,
                 .form = c.form,
                 .dtype = dtype_of<T>()});
  return y.values();
}

struct Gradients {
  Values dx, dbias, y;
};

// The bias's gradient is in wide(dtype): `Sum`.
template <class T, class Sum = T>
Gradients backward(const Case& c, bool accumulate = false, bool again = false) {
  Operand<T> dy(c.dy), x(c.x), bias(c.bias), dx(c.rows * c.cols), y(c.rows * c.cols);
  Operand<Sum> dbias(c.cols, Sum(3), reads_if(accumulate));
  bias_gelu_grad.run(here(), {},
                     {.dy = dy.data(),
                      .x = x.data(),
                      .bias = c.biased ? bias.data() : nullptr,
                      .dx = dx.data(),
                      .y = again ? y.data() : nullptr,
                      .dbias = dbias.data(),
                      .accumulate = accumulate,
                      .rows = c.rows,
                      .cols = c.cols,
                      .form = c.form,
                      .dtype = dtype_of<T>()});
  return {dx.values(), dbias.values(), again ? y.values() : Values{}};
}

// The gradient over dy and the value over x, as the backward pass of an MLP has them.
template <class T>
Values backward_in_place(const Case& c) {
  Operand<T> dy(c.dy), x(c.x), bias(c.bias);
  bias_gelu_grad.run(here(), {},
                     {.dy = dy.data(),
                      .x = x.data(),
                      .bias = c.biased ? bias.data() : nullptr,
                      .dx = dy.data(),
                      .y = x.data(),
                      .rows = c.rows,
                      .cols = c.cols,
                      .form = c.form,
                      .dtype = dtype_of<T>()});
  return dy.values() + x.values();
}

class BiasGelu : public testing::TestWithParam<GeluForm> {};

TEST_P(BiasGelu, IsGeluOfTheSum) {
  for (const int64_t cols : {1, 31, 32, 33, 1000, 4099})
    for (const int64_t rows : {0, 1, 9}) {
      const Case c{rows, cols, GetParam(), rows != 1};
      Values expected;
      for (int64_t i = 0; i < rows * cols; ++i)
        expected.push_back(exact(c.form, c.x[i] + (c.biased ? c.bias[i % cols] : 0)));
      expect_kernel([&] { return forward<float>(c); }, expected, 4 * 6 * epsilon<float>());  // |x| < 6
      expect_kernel([&] { return forward<double>(c); }, expected, 4 * 6 * epsilon<double>());
    }
}

TEST_P(BiasGelu, GradientIsTheDerivative) {
  const Case c{4, 33, GetParam()};
  const auto loss = [&](Values Case::*field) {
    return [&c, field](const Values& v) {
      Case moved = c;
      moved.*field = v;
      return dot(c.dy, forward<double>(moved));
    };
  };
  const Gradients g = backward<double>(c);
  expect_derivative(loss(&Case::x), c.x, g.dx);
  expect_derivative(loss(&Case::bias), c.bias, g.dbias);
}

TEST_P(BiasGelu, GradientInFloatIsThatInDouble) {
  for (const int64_t cols : {1, 31, 32, 33, 1000, 4099})
    for (const int64_t rows : {0, 1, 70, 300}) {
      const Case c{rows, cols, GetParam(), rows != 1};
      const Gradients g = backward<double>(c, true);
      expect_kernel(
          [&] {
            const Gradients f = backward<float>(c, true);
            return f.dx + f.dbias;
          },
          g.dx + g.dbias, 8 * epsilon<float>() * double(1 + rows));
    }
}

TEST_P(BiasGelu, AccumulatesOrOverwrites) {
  const Case c{3, 33, GetParam()};
  const Gradients fresh = backward<double>(c, false), added = backward<double>(c, true);
  for (int i = 0; i < 33; ++i) EXPECT_EQ(fresh.dbias[i] + 3, added.dbias[i]);
}

// To the bit, on every instruction set: what the backward pass multiplies is what the forward pass did.
TEST_P(BiasGelu, GivesTheSameValueAgain) {
  for (const int64_t cols : {1, 31, 32, 33, 1000, 4099})
    for (const int64_t rows : {0, 1, 9}) {
      const Case c{rows, cols, GetParam(), rows != 1};
      const auto differences = [&]<class T>() {
        const Gradients g = backward<T>(c, true, true);
        Values all = backward_in_place<T>(c) + g.dbias;
        const Values without = backward<T>(c, true).dx, bias = backward<T>(c, true).dbias, y = forward<T>(c);
        const Values expected = without + y + bias;
        for (size_t i = 0; i < all.size(); ++i) all[i] -= expected[i];
        for (size_t i = 0; i < y.size(); ++i) all.push_back(g.y[i] - y[i]), all.push_back(g.dx[i] - without[i]);
        return all;
      };
      const Values nothing(4 * rows * cols + cols, 0.0);
      expect_kernel([&] { return differences.operator()<float>(); }, nothing, 0.0);
      expect_kernel([&] { return differences.operator()<double>(); }, nothing, 0.0);
    }
}

// Around the edges of a GPU's tiles: 64 rows; 32 columns, or by vectors 128 in f32 and 256 in bf16.
TEST_P(BiasGelu, WorksInTilesOnCuda) {
  for (const int64_t cols : {1, 33, 300, 8, 128, 264})
    for (const int64_t rows : {0, 1, 9, 63, 64, 65, 150}) {
      const Case c{rows, cols, GetParam(), rows % 2 == 0};
      const Values y = forward<double>(c);
      const Gradients g = backward<double>(c, true);
      const double sum_error = 8 * epsilon<float>() * double(1 + rows);
      expect_on_cuda([&] { return forward<float>(c); }, y, 4 * 6 * epsilon<float>());  // |x| < 6
      expect_on_cuda([&] { return forward<bf16>(c); }, y, 3 * epsilon<bf16>());        // half a unit of values below 6
      expect_on_cuda(
          [&] {
            const Gradients f = backward<float>(c, true);
            return f.dx + f.dbias;
          },
          g.dx + g.dbias, sum_error);
      expect_on_cuda([&] { return backward<float>(c, true, true).y; }, y, 4 * 6 * epsilon<float>());
      expect_on_cuda([&] { return backward<bf16, float>(c, true, true).y; }, y, 3 * epsilon<bf16>());
      expect_on_cuda([&] { return backward_in_place<float>(c); }, g.dx + y, 4 * 6 * epsilon<float>());
      expect_on_cuda([&] { return backward_in_place<bf16>(c); }, g.dx + y, 3 * epsilon<bf16>());
      expect_on_cuda([&] { return backward<bf16, float>(c, true).dx; }, g.dx, epsilon<bf16>());
      expect_on_cuda([&] { return backward<bf16, float>(c, true).dbias; }, g.dbias, sum_error);
    }
}

TEST_P(BiasGelu, LeavesOutWhatIsNotWanted) {
  const Case c{70, 40, GetParam()};
  const Values dx = backward<double>(c).dx;
  expect_everywhere(
      [&] {
        Operand<float> v(c.dy), x(c.x), bias(c.bias);
        bias_gelu_grad.run(here(), {},
                           {.dy = v.data(),
                            .x = x.data(),
                            .bias = bias.data(),
                            .dx = v.data(),
                            .rows = c.rows,
                            .cols = c.cols,
                            .form = c.form,
                            .dtype = DType::f32});
        return v.values();
      },
      dx, 8 * epsilon<float>());
}

INSTANTIATE_TEST_SUITE_P(Forms, BiasGelu, testing::Values(GeluForm::erf, GeluForm::tanh));

}  // namespace
}  // namespace hinoki::kernels::bias_gelu_test
