#include "kernels/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_check.h"

namespace hinoki::kernels::layer_norm_test {
namespace {

using namespace hinoki::test;

constexpr double kEps = 1e-5;

// Statistics and gradients of parameters.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

struct Case {
  int64_t rows, cols;
  int deltas = 0;
  bool bias = true;
  Values x, delta, delta2, weight, offset;

  Case(int64_t rows, int64_t cols, int deltas = 0, bool bias = true)
      : rows(rows),
        cols(cols),
        deltas(deltas),
        bias(bias),
        x(uniform_values(rows * cols, -2, 3, 1)),
        delta(uniform_values(rows * cols, -1, 1, 2)),
        delta2(uniform_values(rows * cols, -1, 1, 3)),
        weight(uniform_values(cols, 0.5, 1.5, 4)),
        offset(uniform_values(cols, -1, 1, 5)) {}

  // With inputs, and their sum, as bf16 holds them.
  Case coarse() const {
    Case c = *this;
    for (Values* v : {&c.x, &c.delta, &c.delta2, &c.weight, &c.offset}) *v = rounded_to_bf16(*v);
    c.coarse_sum = true;
    return c;
  }
  bool coarse_sum = false;
};

// y, mean, rstd and the residual sum (if there are deltas), one after the other.
Values reference(const Case& c) {
  Values y, mean, rstd, sum;
  for (int64_t r = 0; r < c.rows; ++r) {
    Values s(c.cols);
    double average = 0, squares = 0;
    for (int64_t i = 0; i < c.cols; ++i) {
      const int64_t at = r * c.cols + i;
      s[i] = c.x[at] + (c.deltas > 0 ? c.delta[at] : 0) + (c.deltas > 1 ? c.delta2[at] : 0);
      if (c.coarse_sum && c.deltas > 0) {  // as the kernel adds: in f32, and rounded once
        const float one = float(c.x[at]) + float(c.delta[at]);
        s[i] = to_float(to_bf16(c.deltas > 1 ? one + float(c.delta2[at]) : one));
      }
      average += s[i] / double(c.cols);
    }
    for (const double v : s) squares += (v - average) * (v - average);
    mean.push_back(average);
    rstd.push_back(1 / std::sqrt(squares / double(c.cols) + kEps));
    for (int64_t i = 0; i < c.cols; ++i)
      y.push_back((s[i] - average) * rstd.back() * c.weight[i] + (c.bias ? c.offset[i] : 0));
    if (c.deltas) sum = sum + s;
  }
  return y + mean + rstd + sum;
}

template <class T>
Values run(const Case& c) {
  const int64_t n = c.rows * c.cols;
  Operand<T> x(c.x), delta(c.delta), delta2(c.delta2), weight(c.weight), bias(c.offset);
  Operand<T> sum(c.deltas ? n : 0), y(n);
  Operand<Wide<T>> mean(c.rows), rstd(c.rows);
  layer_norm.run(here(), {},
                 {.x = x.data(),
                  .delta = c.deltas > 0 ? delta.data() : nullptr,
                  .delta2 = c.deltas > 1 ? delta2.data() : nullptr,
                  .weight = weight.data(),
                  .bias = c.bias ? bias.data() : nullptr,
                  .sum = c.deltas ? sum.data() : nullptr,
                  .y = y.data(),
                  .mean = mean.data(),
                  .rstd = rstd.data(),
                  .rows = c.rows,
                  .cols = c.cols,
                  .eps = kEps,
                  .dtype = dtype_of<T>()});
  return y.values() + mean.values() + rstd.values() + sum.values();
}

// Rounding of the mean moves y by rstd * weight * epsilon * (sqrt(n) for the random walk of a sum, bounded by a lane's
// n / 32 additions plus the tree); rstd of short rows reaches 1 / sqrt(eps).
template <class T>
Values tolerance_of(const Case& c, const Values& expected) {
  const double additions = double(c.cols) / 32 + 8;
  double rstd = 1;
  for (int64_t r = 0; r < c.rows; ++r) rstd = std::max(rstd, expected[c.rows * c.cols + c.rows + r]);
  Values tolerance(expected.size(), 4 * epsilon<Wide<T>>() * additions * rstd * rstd);
  if constexpr (std::is_same_v<T, bf16>)  // y is rounded, and y alone
    for (int64_t i = 0; i < c.rows * c.cols; ++i) tolerance[i] += std::abs(expected[i]) * epsilon<bf16>() / 2;
  return tolerance;
}

class LayerNormSizes : public testing::TestWithParam<int64_t> {};

TEST_P(LayerNormSizes, NormalizesRows) {
  for (const int64_t rows : {0, 1, 3, 33}) {
    for (const int deltas : {0, 1, 2}) {
      const Case c(rows, GetParam(), deltas, rows != 3);
      const Values expected = reference(c);
      expect_everywhere([&] { return run<float>(c); }, expected, tolerance_of<float>(c, expected));
      expect_kernel([&] { return run<double>(c); }, expected, tolerance_of<double>(c, expected));
    }
  }
}

struct Gradients {
  Values dx, dweight, dbias;
  Values all() const { return dx + dweight + dbias; }
};

template <class T>
Gradients backward(const Case& c, const Values& dy, const Values* dsum, double start = 0, bool accumulate = false) {
  const Values stats = run<T>(c), s = c.deltas ? Values(stats.end() - c.rows * c.cols, stats.end()) : c.x;
  const auto mean_at = stats.begin() + c.rows * c.cols;
  Operand<T> cotangent(dy), sum(s), weight(c.weight), other(dsum ? *dsum : Values{}), dx(c.rows * c.cols);
  Operand<Wide<T>> mean(Values(mean_at, mean_at + c.rows)), rstd(Values(mean_at + c.rows, mean_at + 2 * c.rows)),
      dweight(c.cols, Wide<T>(start), reads_if(accumulate)), dbias(c.cols, Wide<T>(start), reads_if(accumulate));
  layer_norm_grad.run(here(), {},
                      {.dy = cotangent.data(),
                       .s = sum.data(),
                       .weight = weight.data(),
                       .mean = mean.data(),
                       .rstd = rstd.data(),
                       .dsum = dsum ? other.data() : nullptr,
                       .dx = dx.data(),
                       .dweight = dweight.data(),
                       .dbias = dbias.data(),
                       .accumulate = accumulate,
                       .rows = c.rows,
                       .cols = c.cols,
                       .dtype = dtype_of<T>()});
  return {dx.values(), dweight.values(), dbias.values()};
}

TEST_P(LayerNormSizes, GradientInFloatIsThatInDouble) {
  // Rows of one value are normalized to 0 whatever they are; rounding then decides, scaled by 1 / sqrt(eps).
  const double widest = GetParam() == 1 ? 1 / kEps : 4;
  for (const int64_t rows : {0, 1, 70, 300}) {
    const Case c(rows, GetParam());
    const Values dy = uniform_values(rows * c.cols, -1, 1, 6), dsum = uniform_values(rows * c.cols, -1, 1, 7);
    const Values expected = backward<double>(c, dy, &dsum, 2, true).all();
    const double additions = double(c.cols + rows) / 32 + 40;
    const auto in_float = [&] { return backward<float>(c, dy, &dsum, 2, true).all(); };
    expect_kernel(in_float, expected, 8 * epsilon<float>() * additions * widest);
    if (rows < 300 || c.cols < 100) expect_on_cuda(in_float, expected, 8 * epsilon<float>() * additions * widest);
  }
}

TEST_P(LayerNormSizes, TakesBf16) {
  for (const int64_t rows : {1, 11}) {
    for (const int deltas : {0, 1, 2}) {
      const Case c = Case(rows, GetParam(), deltas, rows != 1).coarse();
      const Values expected = reference(c);
      expect_on_cuda([&] { return run<bf16>(c); }, expected, tolerance_of<bf16>(c, expected));
    }
    const Case c = Case(rows, GetParam()).coarse();
    const Values dy = rounded_to_bf16(uniform_values(rows * c.cols, -1, 1, 6)),
                 dsum = rounded_to_bf16(uniform_values(rows * c.cols, -1, 1, 7));
    const Values expected = backward<double>(c, dy, &dsum, 2, true).all();
    const double additions = double(c.cols + rows) / 32 + 40;
    Values tolerance(expected.size(), 8 * epsilon<float>() * additions * (c.cols == 1 ? 1 / kEps : 4));
    for (int64_t i = 0; i < rows * c.cols; ++i) tolerance[i] += std::abs(expected[i]) * epsilon<bf16>() / 2;
    expect_on_cuda([&] { return backward<bf16>(c, dy, &dsum, 2, true).all(); }, expected, tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, LayerNormSizes, testing::Values(1, 31, 32, 33, 1000, 4099));

// Where a CUDA kernel gives a row to a warp, to blocks of several sizes, and to the kernel of long rows.
class LayerNormTeams : public testing::TestWithParam<int64_t> {};

TEST_P(LayerNormTeams, NormalizeRows) {
  const Case c(5, GetParam(), 1);
  const Values expected = reference(c);
  expect_on_cuda([&] { return run<float>(c); }, expected, tolerance_of<float>(c, expected));
  const Case coarse = c.coarse();
  const Values coarse_expected = reference(coarse);
  expect_on_cuda([&] { return run<bf16>(coarse); }, coarse_expected, tolerance_of<bf16>(coarse, coarse_expected));

  const Values dy = rounded_to_bf16(uniform_values(5 * c.cols, -1, 1, 6));
  Case alone = coarse;
  alone.deltas = 0;
  const Values gradients = backward<double>(alone, dy, nullptr).all();
  Values tolerance(gradients.size(), 32 * epsilon<float>() * (double(c.cols) / 32 + 40));
  expect_on_cuda([&] { return backward<float>(alone, dy, nullptr).all(); }, gradients, tolerance);
  for (int64_t i = 0; i < 5 * c.cols; ++i) tolerance[i] += std::abs(gradients[i]) * epsilon<bf16>() / 2;
  expect_on_cuda([&] { return backward<bf16>(alone, dy, nullptr).all(); }, gradients, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Sizes, LayerNormTeams,
                         testing::Values(512, 520, 1024, 1032, 2048, 2056, 4096, 4104, 8192, 8200));

// dx may take the place of dy, and of dsum.
TEST(LayerNorm, GradientMayBeInPlace) {
  for (const int64_t cols : {33, 40}) {
    const Case c(11, cols);
    const Values dy = uniform_values(11 * cols, -1, 1, 6), dsum = uniform_values(11 * cols, -1, 1, 7),
                 stats = run<double>(c);
    const Values apart = backward<double>(c, dy, &dsum).all();
    for (const bool in_dsum : {false, true}) {
      const auto in_place = [&] {
        Operand<float> cotangent(dy), other(dsum), s(c.x), weight(c.weight), dweight(cols), dbias(cols),
            mean(Values(stats.begin() + 11 * cols, stats.begin() + 11 * cols + 11)),
            rstd(Values(stats.begin() + 11 * cols + 11, stats.end()));
        Operand<float>& dx = in_dsum ? other : cotangent;
        layer_norm_grad.run(here(), {},
                            {.dy = cotangent.data(),
                             .s = s.data(),
                             .weight = weight.data(),
                             .mean = mean.data(),
                             .rstd = rstd.data(),
                             .dsum = other.data(),
                             .dx = dx.data(),
                             .dweight = dweight.data(),
                             .dbias = dbias.data(),
                             .rows = 11,
                             .cols = cols,
                             .dtype = DType::f32});
        return dx.values() + dweight.values() + dbias.values();
      };
      expect_everywhere(in_place, apart, 32 * 42 * epsilon<float>());
    }
  }
}

// Two columns would prove nothing: normalized, they are always +1 and -1.
TEST(LayerNorm, GradientIsTheDerivative) {
  for (const int64_t cols : {3, 33, 50}) {
    Case c(5, cols);
    const Values dy = uniform_values(5 * cols, -1, 1, 6), dsum = uniform_values(5 * cols, -1, 1, 7);
    const auto loss = [&](const Case& at) {
      const Values y = run<double>(at);
      return dot(dy, Values(y.begin(), y.begin() + 5 * cols)) + dot(dsum, at.x);
    };
    const Gradients g = backward<double>(c, dy, &dsum);
    const auto check = [&](Values Case::*field, const Values& gradient) {
      expect_derivative(
          [&](const Values& v) {
            Case moved = c;
            moved.*field = v;
            return loss(moved);
          },
          c.*field, gradient);
    };
    check(&Case::x, g.dx);
    check(&Case::weight, g.dweight);
    check(&Case::offset, g.dbias);
  }
}

TEST(LayerNorm, AccumulatesOrOverwrites) {
  const Case c(3, 33);
  const Values dy = uniform_values(99, -1, 1, 6);
  const Gradients fresh = backward<double>(c, dy, nullptr, 5, false), added = backward<double>(c, dy, nullptr, 5, true);
  EXPECT_EQ(fresh.dx, added.dx);
  for (int i = 0; i < 33; ++i) {
    EXPECT_EQ(fresh.dweight[i] + 5, added.dweight[i]);
    EXPECT_EQ(fresh.dbias[i] + 5, added.dbias[i]);
  }
}

// A mean of 1000 beside a deviation of 1: avg(x^2) - avg(x)^2 would leave two digits of the variance.
TEST(LayerNorm, VarianceDoesNotCancel) {
  Case c(1, 1000);
  for (double& v : c.x) v += 1000;
  const Values expected = reference(c);
  expect_everywhere([&] { return run<float>(c); }, expected, 1000 * 8 * epsilon<float>());
}

TEST(LayerNorm, RefusesASumWithoutDelta) {
  float v = 0;
  const kernels::LayerNorm k{.x = &v,
                             .weight = &v,
                             .sum = &v,
                             .y = &v,
                             .mean = &v,
                             .rstd = &v,
                             .rows = 1,
                             .cols = 1,
                             .eps = 1,
                             .dtype = DType::f32};
  EXPECT_ERROR(layer_norm.run(Device::cpu, {}, k), Exit::failure, "layer_norm: a residual sum needs a delta");
}

}  // namespace
}  // namespace hinoki::kernels::layer_norm_test
