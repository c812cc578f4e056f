#include "core/autograd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/ops.h"
#include "core/recompute.h"
#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::autograd_test {
namespace {

using test::Inputs;
using test::uniform;
using test::values;

// y = x * x, written with autograd's public face only.
Tensor square(const Tensor& x) {
  Tensor y = empty_like(x);
  for (int64_t i = 0; i < x.numel(); ++i) y.as<double>()[i] = x.as<double>()[i] * x.as<double>()[i];
  return differentiable(y, {x}, [x = Saved(x)](const Tensor& dy) -> Grads {
    Tensor dx = empty_like(dy);
    for (int64_t i = 0; i < dx.numel(); ++i) dx.as<double>()[i] = 2 * x->as<double>()[i] * dy.as<double>()[i];
    return {dx};
  });
}

// (a + b, a - b)
std::vector<Tensor> butterfly(const Tensor& a, const Tensor& b) {
  Tensor plus = empty_like(a), minus = empty_like(a);
  for (int64_t i = 0; i < a.numel(); ++i) {
    plus.as<double>()[i] = a.as<double>()[i] + b.as<double>()[i];
    minus.as<double>()[i] = a.as<double>()[i] - b.as<double>()[i];
  }
  return differentiable({plus, minus}, {a, b}, [shape = a.shape()](const std::vector<Tensor>& d) -> Grads {
    Tensor da = zeros(shape, DType::f64), db = zeros(shape, DType::f64);
    for (int64_t i = 0; i < da.numel(); ++i) {
      const double p = d[0].defined() ? d[0].as<double>()[i] : 0, m = d[1].defined() ? d[1].as<double>()[i] : 0;
      da.as<double>()[i] = p + m;
      db.as<double>()[i] = p - m;
    }
    return {da, db};
  });
}

TEST(Autograd, ChainsAndSharedUsesAddUp) {
  const Tensor x = make_leaf(uniform({5}, -1, 1, 1));
  const Tensor y = square(square(x));                       // x^4
  backward({butterfly(y, x)[0]}, {uniform({5}, 1, 1, 2)});  // x^4 + x
  for (int i = 0; i < 5; ++i) {
    const double v = x.as<double>()[i];
    EXPECT_NEAR(x.grad().as<double>()[i], 4 * v * v * v + 1, 1e-14);
  }
}

TEST(Autograd, OutputsThatNobodyUsesGiveNoGradient) {
  const Tensor a = make_leaf(uniform({3}, -1, 1, 1)), b = make_leaf(uniform({3}, -1, 1, 2));
  backward({butterfly(a, b)[1]}, {uniform({3}, 1, 1, 0)});
  EXPECT_EQ(values(a.grad()), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(values(b.grad()), (std::vector<double>{-1, -1, -1}));
}

TEST(Autograd, TheHookSeesEachLeafOnceAfterItsLastUse) {
  const Tensor w = make_leaf(uniform({2}, 1, 2, 1), "w"), unused = make_leaf(uniform({2}, 1, 2, 1), "unused");
  const Tensor early = square(w);
  const Tensor late = butterfly(square(early), w)[0];
  std::vector<std::string> seen;
  std::vector<double> at_hook;
  backward({late}, {uniform({2}, 1, 1, 0)}, [&](const std::shared_ptr<Leaf>& leaf) {
    seen.push_back(leaf->name);
    at_hook = values(leaf->grad);
  });
  EXPECT_EQ(seen, std::vector<std::string>{"w"});
  EXPECT_EQ(at_hook, values(w.grad()));
  EXPECT_FALSE(unused.grad().defined());
}

TEST(Autograd, GradientsGoIntoTheGivenBuffer) {
  Tensor buffer = uniform({3}, 5, 6, 3);
  const Tensor x = make_leaf(uniform({3}, 1, 2, 1), "x", buffer);
  backward({square(x)}, {uniform({3}, 1, 1, 0)});
  const auto once = values(buffer);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(once[i], 2 * x.as<double>()[i]) << "the old content counts for nothing";
  backward({square(x)}, {uniform({3}, 1, 1, 0)});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(buffer.as<double>()[i], 2 * once[i]) << "the second pass adds";
}

TEST(Autograd, NoGradKeepsNothing) {
  const Tensor x = make_leaf(uniform({3}, 1, 2, 1));
  const NoGrad no_grad;
  EXPECT_FALSE(square(x).needs_grad());
}

TEST(Autograd, WhatCanBeMadeAgainIsNotKeptAndIsMadeOnce) {
  const Tensor x = make_leaf(uniform({3}, 1, 2, 1));
  int made = 0;
  std::weak_ptr<Storage> memory;
  Tensor z;
  {
    Tensor y = square(x);
    y.set_remake([&made, x = x.detach()] { return ++made, square(x); });
    memory = y.storage();
    z = add(square(y), square(y));  // 2 x^4
    EXPECT_FALSE(reshape(y, {3, 1}).remake()) << "a view would get the whole in its own shape";
  }
  EXPECT_TRUE(memory.expired());
  EXPECT_EQ(made, 0);
  backward({z}, {uniform({3}, 1, 1, 2)});
  EXPECT_EQ(made, 1);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(x.grad().as<double>()[i], 8 * std::pow(x.as<double>()[i], 3), 1e-12);
}

TEST(Autograd, AnOverwrittenSavedTensorIsNoticed) {
  const Tensor x = make_leaf(uniform({3}, 1, 2, 1));
  const Tensor y = square(x);
  x.storage()->touch();
  EXPECT_ERROR(backward({y}, {y.detach()}), Exit::failure, "overwritten after an op saved it");
}

TEST(Autograd, AGraphIsWalkedOnce) {
  const Tensor x = make_leaf(uniform({3}, 1, 2, 1));
  const Tensor y = square(x);
  backward({y}, {y.detach()});
  EXPECT_ERROR(backward({y}, {y.detach()}), Exit::failure, "already walked");
}

TEST(Autograd, AVeryLongChainNeedsNoStack) {
  const Tensor x = make_leaf(uniform({1}, 1, 1, 1));
  Tensor y = x;
  for (int i = 0; i < 300'000; ++i) y = reshape(y, {1});
  backward({y}, {uniform({1}, 1, 1, 0)});
  EXPECT_EQ(x.grad().item(), 1);
  for (int i = 0; i < 300'000; ++i) y = reshape(i ? y : x, {1});
  y = {};  // and neither does dropping a graph that was never walked
}

TEST(Recompute, SameGradientsLessKept) {
  const Tensor w = make_leaf(uniform({4}, 1, 2, 1), "w");
  const auto f = [&](const Inputs& in) { return Inputs{square(butterfly(square(in[0]), w)[0])}; };
  const Tensor x1 = make_leaf(uniform({4}, 1, 2, 9)), x2 = make_leaf(uniform({4}, 1, 2, 9));
  backward({f({x1})[0]}, {uniform({4}, 1, 1, 0)});
  const auto dw = values(w.grad());
  w.edge().leaf->grad = {};
  w.edge().leaf->fresh = true;
  std::vector<std::string> seen;
  // Twice through segments that share w: it must be announced once, complete.
  const Tensor y = recompute(f, {recompute(f, {x2})[0]})[0];
  backward({y}, {uniform({4}, 1, 1, 0)}, [&](const auto& leaf) { seen.push_back(leaf->name); });
  EXPECT_EQ(seen, (std::vector<std::string>{"", "w"}));
  const Tensor x3 = make_leaf(uniform({4}, 1, 2, 9)), w3 = make_leaf(w.detach(), "w3");
  const auto g = [&](const Inputs& in) { return Inputs{square(butterfly(square(in[0]), w3)[0])}; };
  backward({g({g({x3})[0]})[0]}, {uniform({4}, 1, 1, 0)});
  EXPECT_EQ(values(x2.grad()), values(x3.grad()));
  EXPECT_EQ(values(w.grad()), values(w3.grad()));
  EXPECT_NE(values(w.grad()), dw);
}

TEST(Recompute, WorksWhenOnlyLeavesInsideNeedGradients) {
  const Tensor w = make_leaf(uniform({4}, 1, 2, 1), "w"), x = uniform({4}, 1, 2, 9);
  const Tensor y = recompute([&](const Inputs& in) { return Inputs{butterfly(square(w), in[0])[0]}; }, {x})[0];
  backward({y}, {uniform({4}, 1, 1, 0)});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(w.grad().as<double>()[i], 2 * w.as<double>()[i]);
}

TEST(OpCheck, SeesAMissingTerm) {
  const auto wrong = [](const Inputs& in) {
    Tensor y = square(in[0]).detach();
    return Inputs{differentiable(y, {in[0]}, [](const Tensor& dy) -> Grads { return {dy}; })};
  };
  EXPECT_GT(test::worst_gradient_error({.inputs = {uniform({6}, 1, 2, 1)}, .run = wrong, .reference = {}}), 0.1);
  const auto right = [](const Inputs& in) { return Inputs{square(in[0])}; };
  EXPECT_LT(test::worst_gradient_error({.inputs = {uniform({6}, 1, 2, 1)}, .run = right, .reference = {}}), 1e-9);
}

}  // namespace
}  // namespace hinoki::autograd_test
