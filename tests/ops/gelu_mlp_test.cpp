#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "core/recompute.h"
#include "core/storage.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::gelu_mlp_test {
namespace {

using test::Inputs;
using test::uniform;

double gelu(double x, Gelu form) {
  if (form == Gelu::erf) return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

// x [rows, in] times a weight, plus a bias that may be undefined.
Tensor map(const Tensor& x, const Tensor& w, const Tensor& bias, bool out_in) {
  const int64_t rows = x.size(0), in = x.size(1), out = w.size(out_in ? 0 : 1);
  Tensor y = empty({rows, out}, DType::f64);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < out; ++j) {
      double sum = bias.defined() ? bias.as<double>()[j] : 0;
      for (int64_t p = 0; p < in; ++p)
        sum += x.as<double>()[i * in + p] * w.as<double>()[out_in ? j * in + p : p * out + j];
      y.as<double>()[i * out + j] = sum;
    }
  return y;
}

struct Case {
  int64_t rows, in, inner, out;
  Gelu form;
  WeightLayout layout;
  bool up_biased = true, down_biased = true;

  bool out_in() const { return layout == WeightLayout::out_in; }
  // x, then the weights; larger ones of W1, so that GELU sees more than its middle.
  Inputs inputs() const {
    return {uniform({rows, in}, -1, 1, 1), uniform(out_in() ? Shape{inner, in} : Shape{in, inner}, -2, 2, 2),
            up_biased ? uniform({inner}, -1, 1, 3) : Tensor(),
            uniform(out_in() ? Shape{out, inner} : Shape{inner, out}, -1, 1, 4),
            down_biased ? uniform({out}, -1, 1, 5) : Tensor()};
  }
  Tensor run(const Inputs& in, Inner kept = Inner::kept) const {
    return gelu_mlp(in[0], {in[1], in[2], in[3], in[4], layout}, form, kept);
  }
  Tensor reference(const Inputs& in) const {
    const Tensor u = map(in[0], in[1], in[2], out_in());
    for (int64_t i = 0; i < u.numel(); ++i) u.as<double>()[i] = gelu(u.as<double>()[i], form);
    return map(u, in[3], in[4], out_in());
  }
};

std::vector<Case> cases(int64_t rows, int64_t in, int64_t inner, int64_t out) {
  std::vector<Case> all;
  for (const Gelu form : {Gelu::erf, Gelu::tanh})
    for (const WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out})
      for (const int biases : {0, 1, 2, 3})
        all.push_back({rows, in, inner, out, form, layout, biases % 2 == 1, biases / 2 == 1});
  return all;
}

class GeluMlpSizes : public testing::TestWithParam<std::array<int64_t, 4>> {};

TEST_P(GeluMlpSizes, EachFormAndLayoutWithAndWithoutBiases) {
  const auto [rows, in, inner, out] = GetParam();
  for (const Case& c : cases(rows, in, inner, out)) {
    SCOPED_TRACE(say("form ", int(c.form), " layout ", int(c.layout), " biases ", c.up_biased, c.down_biased));
    for (const Inner kept : {Inner::kept, Inner::made_again})
      test::check_op({.inputs = c.inputs(),
                      .run = [&](const Inputs& x) { return Inputs{c.run(x, kept)}; },
                      .reference = [&](const Inputs& x) { return Inputs{c.reference(x)}; }},
                     std::max({rows, in, inner, out}));
  }
}

INSTANTIATE_TEST_SUITE_P(Edges, GeluMlpSizes,
                         testing::Values(std::array<int64_t, 4>{1, 1, 1, 1}, std::array<int64_t, 4>{31, 33, 32, 5},
                                         std::array<int64_t, 4>{33, 8, 65, 31}, std::array<int64_t, 4>{0, 3, 8, 3},
                                         std::array<int64_t, 4>{64, 16, 72, 24}));

// f32 gradients of the leaves of `inputs`, those that are wanted, by a backward pass from y.
Inputs gradients(const Case& c, const std::vector<bool>& wanted, bool again = false, Inner kept = Inner::kept) {
  Inputs inputs;
  for (const Tensor& x : c.inputs()) {
    const Tensor f32 = x.defined() ? test::to(x, DType::f32) : x;
    inputs.push_back(x.defined() && wanted[inputs.size()] ? make_leaf(f32) : f32);
  }
  const Tensor y = again ? recompute([&](const Inputs& in) { return Inputs{c.run(in)}; }, inputs)[0] : c.run(inputs, kept);
  backward({y}, {uniform(y.shape(), -1, 1, 6, DType::f32)});
  Inputs grads;
  for (const Tensor& x : inputs) grads.push_back(x.defined() ? x.grad() : x);
  return grads;
}

// The product that is overwritten in the backward pass is that of the second forward pass.
TEST(GeluMlp, GivesTheSameBitsWhenItIsRecomputed) {
  for (const Case& c : cases(33, 8, 40, 16)) {
    const std::vector<bool> all(5, true);
    const Inputs once = gradients(c, all), again = gradients(c, all, true);
    const Inputs product = gradients(c, all, false, Inner::made_again);
    for (int i = 0; i < 5; ++i) {
      EXPECT_TRUE(test::same_bits(once[i], again[i])) << "gradient of input " << i;
      EXPECT_TRUE(test::same_bits(once[i], product[i])) << "gradient of input " << i << ", the inner product alone";
    }
  }
}

TEST(GeluMlp, LeavesOutWhatIsNotWanted) {
  const Case c{9, 8, 40, 16, Gelu::erf, WeightLayout::out_in};
  const Inputs all = gradients(c, std::vector<bool>(5, true));
  for (int only = 0; only < 5; ++only) {
    std::vector<bool> wanted(5, false);
    wanted[only] = true;
    const Inputs grads = gradients(c, wanted);
    for (int i = 0; i < 5; ++i)
      EXPECT_TRUE(test::same_bits(grads[i], i == only ? all[i] : Tensor())) << i << " where only " << only;
  }
}

// Blocks are rounded up to 512 bytes, which these sizes are multiples of.
TEST(GeluMlp, KeepsOneInnerArrayOrNone) {
  constexpr int64_t rows = 64, in = 16, inner = 256;
  const int64_t one = rows * inner * 4, narrow = rows * in * 4, weights = 4 * (2 * in * inner + inner + in);
  for (const auto& [form, kept] : {std::pair{Gelu::erf, Inner::kept}, std::pair{Gelu::tanh, Inner::kept},
                                  std::pair{Gelu::erf, Inner::made_again}}) {
    const Case c{rows, in, inner, in, form, WeightLayout::out_in};
    Inputs leaves;
    for (const Tensor& x : c.inputs()) leaves.push_back(make_leaf(test::to(x, DType::f32)));
    const auto before = int64_t(memory_use().live);
    const Tensor y = c.run(leaves, kept), dy = zeros(y.shape(), DType::f32);
    EXPECT_EQ(int64_t(memory_use().live) - before, (kept == Inner::kept ? one : 0) + 2 * narrow);
    reset_peak_memory();
    backward({y}, {dy});
    EXPECT_LE(int64_t(memory_use().peak) - before, 2 * one + 3 * narrow + weights);
    const NoGrad no_grad;
    const auto between = int64_t(memory_use().live);
    reset_peak_memory();
    c.run(leaves);
    EXPECT_EQ(int64_t(memory_use().peak) - between, one + narrow);
  }
}

TEST(GeluMlp, SaysWhatDoesNotFit) {
  const Tensor x = zeros({2, 4}, DType::f32), up = zeros({8, 4}, DType::f32), down = zeros({4, 8}, DType::f32);
  EXPECT_ERROR(gelu_mlp(x, {.up = down, .down = down}, Gelu::erf), Exit::failure,
               "gelu_mlp: weight is [4, 8] [out, in], x is [2, 4]");
  EXPECT_ERROR(gelu_mlp(x, {.up = up, .down = up}, Gelu::erf), Exit::failure,
               "gelu_mlp: weight is [8, 4] [out, in], x is [2, 8]");
  EXPECT_ERROR(gelu_mlp(x, {.up = up, .up_bias = zeros({4}, DType::f32), .down = down}, Gelu::erf), Exit::failure,
               "gelu_mlp: bias is [4], weight [8, 4]");
}

}  // namespace
}  // namespace hinoki::gelu_mlp_test
