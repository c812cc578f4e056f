#include <gtest/gtest.h>

#include <cmath>

#include "core/base/device.h"
#include "core/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::layer_norm_test {
namespace {

using test::Inputs;
using test::uniform;

constexpr double kEps = 1e-5;

Tensor normalized(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = empty_like(x);
  const int64_t n = x.size(-1);
  for (int64_t r = 0; n && r < x.numel() / n; ++r) {
    const double* const row = x.as<double>() + r * n;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) mean += row[i] / double(n);
    for (int64_t i = 0; i < n; ++i) squares += (row[i] - mean) * (row[i] - mean);
    for (int64_t i = 0; i < n; ++i)
      y.as<double>()[r * n + i] = (row[i] - mean) / std::sqrt(squares / double(n) + kEps) * weight.as<double>()[i] +
                                  (bias.defined() ? bias.as<double>()[i] : 0);
  }
  return y;
}

Tensor sum_of(const Tensor& x, const Tensor& d1, const Tensor& d2) {
  Tensor s = empty_like(x);
  for (int64_t i = 0; i < x.numel(); ++i)
    s.as<double>()[i] = x.as<double>()[i] + d1.as<double>()[i] + (d2.defined() ? d2.as<double>()[i] : 0);
  return s;
}

class LayerNormOp : public testing::TestWithParam<int64_t> {};

TEST_P(LayerNormOp, AloneWithAndWithoutBias) {
  const int64_t n = GetParam();
  for (const bool biased : {false, true})
    for (const int64_t rows : {0, 3}) {
      const Tensor bias = biased ? uniform({n}, -1, 1, 3) : Tensor();
      test::check_op({.inputs = {uniform({rows, n}, -2, 2, 1), uniform({n}, 0.5, 1.5, 2), bias},
                      .run = [](const Inputs& in) { return Inputs{layer_norm(in[0], in[1], in[2], kEps)}; },
                      .reference = [](const Inputs& in) { return Inputs{normalized(in[0], in[1], in[2])}; }},
                     8 * n);
    }
}

TEST_P(LayerNormOp, BehindTheResidualSum) {
  const int64_t n = GetParam();
  for (const bool two : {false, true}) {
    const Tensor d2 = two ? uniform({2, 3, n}, -1, 1, 5) : Tensor();
    test::check_op({.inputs = {uniform({2, 3, n}, -2, 2, 1), uniform({2, 3, n}, -1, 1, 4), d2,
                               uniform({n}, 0.5, 1.5, 2), uniform({n}, -1, 1, 3)},
                    .run =
                        [](const Inputs& in) {
                          const Normed y = residual_layer_norm(in[0], in[1], in[2], in[3], in[4], kEps);
                          return Inputs{y.sum, y.normed};
                        },
                    .reference =
                        [](const Inputs& in) {
                          const Tensor s = sum_of(in[0], in[1], in[2]);
                          return Inputs{s, normalized(s, in[3], in[4])};
                        }},
                   8 * n);
  }
}

// Two columns would prove nothing: normalized, they are always +1 and -1.
INSTANTIATE_TEST_SUITE_P(Columns, LayerNormOp, testing::Values(3, 31, 32, 33, 257));

// Each output may be the only one that is used.
TEST(LayerNormOp, OneOutputIsEnough) {
  for (const bool normed : {false, true})
    test::check_op({.inputs = {uniform({3, 33}, -2, 2, 1), uniform({3, 33}, -1, 1, 4), uniform({33}, 0.5, 1.5, 2),
                               uniform({33}, -1, 1, 3)},
                    .run =
                        [normed](const Inputs& in) {
                          const Normed y = residual_layer_norm(in[0], in[1], {}, in[2], in[3], kEps);
                          return Inputs{normed ? y.normed : scale(y.sum, 2)};
                        },
                    .reference = {}},
                   300);
}

// Backward passes of others read what the norm gave out as it makes it again.
TEST(LayerNormOp, MakesTheSameBitsAgain) {
  for (const Device device : {Device::cpu, Device::cuda})
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      if (device == Device::cuda ? !has_device(Device::cuda) || dtype == DType::f64 : dtype == DType::bf16) continue;
      const auto random = [&](const Shape& shape, uint64_t seed) {
        return make_leaf(to_device(test::to(uniform(shape, -2, 2, seed), dtype), device));
      };
      for (const int64_t n : {5, 33, 256}) {
        const Tensor x = random({7, n}, 1), delta = random({7, n}, 2), weight = random({n}, 3), bias = random({n}, 4);
        for (const Tensor& y :
             {layer_norm(x, weight, {}, kEps), residual_layer_norm(x, delta, {}, weight, bias, kEps).normed,
              residual_layer_norm(x, delta, delta, weight, {}, kEps).normed}) {
          ASSERT_TRUE(y.remake());
          EXPECT_TRUE(test::same_bits(to_device((*y.remake())(), Device::cpu), to_device(y, Device::cpu)))
              << device << ' ' << dtype << ' ' << n;
        }
      }
      const NoGrad no_grad;
      EXPECT_FALSE(layer_norm(random({7, 5}, 1), random({5}, 3), {}, kEps).remake()) << "nobody keeps x";
    }
}

TEST(LayerNormOp, SaysWhatDoesNotFit) {
  const auto zero = [](Shape s) { return zeros(s, DType::f32); };
  EXPECT_ERROR(layer_norm(zero({3, 17}), zero({5}), zero({17}), 1e-5), Exit::failure,
               "layer_norm: weight is [5], x ends in 17");
  EXPECT_ERROR(layer_norm(zero({3, 17}), zero({17}), zero({5}), 1e-5), Exit::failure, "layer_norm: bias is [5]");
  EXPECT_ERROR(residual_layer_norm(zero({3, 17}), zero({17}), {}, zero({17}), zero({17}), 1e-5), Exit::failure,
               "residual_layer_norm: x is [3, 17], what is added [17]");
}

}  // namespace
}  // namespace hinoki::layer_norm_test
