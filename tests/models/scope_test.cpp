#include "models/scope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"
#include "tests/support/op_check.h"

namespace hinoki::scope_test {
namespace {

TEST(Scope, PathsAreNames) {
  Parameters p(DType::f32);
  const Scope root(p);
  (root / "gpt_neox" / "layers" / 3).parameter("weight", {2, 2}, ones_init());
  EXPECT_EQ(p.all().at(0).name, "gpt_neox.layers.3.weight");
  EXPECT_ERROR((root / "gpt_neox" / "layers" / 3).parameter("weight", {2}, ones_init()), Exit::failure,
               "gpt_neox.layers.3.weight");
}

TEST(Parameters, LieInFlatBuffersOfWholeChunks) {
  Parameters p(DType::f32);
  const Tensor a = p.add("a", {3}, ones_init()), b = p.add("b", {70'000}, zeros_init());
  p.allocate();
  p.initialize(1);
  EXPECT_EQ(p.flat_size(), 2 * Parameters::kChunk);
  EXPECT_EQ(a.data(), p.weight_storage().data());
  EXPECT_EQ(b.as<float>() - a.as<float>(), 16) << "each parameter starts on a cache line";
  EXPECT_EQ(a.grad().data(), p.gradients());
  EXPECT_EQ(test::values(a), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(p.count(), 70'003);
}

TEST(Parameters, StartFromTheSeedByName) {
  const auto start = [](uint64_t seed, const std::string& first) {
    Parameters p(DType::f32);
    if (!first.empty()) p.add(first, {100}, normal_init(1));
    const Tensor w = p.add("w", {40'000}, normal_init(0.5));
    p.allocate();
    p.initialize(seed);
    return test::values(w);
  };
  const auto w = start(1, "");
  EXPECT_EQ(w, start(1, "other")) << "what else there is does not matter";
  EXPECT_NE(w, start(2, ""));
  double mean = 0, square = 0;
  for (const double x : w) mean += x / double(w.size()), square += x * x / double(w.size());
  EXPECT_NEAR(mean, 0, 4 * 0.5 / std::sqrt(40'000.0));
  EXPECT_NEAR(square, 0.25, 4 * 0.25 * std::sqrt(2 / 40'000.0));
}

TEST(Parameters, GradientsThatNothingReachedBecomeZero) {
  Parameters p(DType::f32);
  const Tensor a = p.add("a", {3}, ones_init());
  p.allocate();
  a.grad().as<float>()[1] = 5;
  p.clear_gradients();
  p.finish_gradients();
  EXPECT_EQ(test::values(a.grad()), (std::vector<double>{0, 0, 0}));
}

}  // namespace
}  // namespace hinoki::scope_test
