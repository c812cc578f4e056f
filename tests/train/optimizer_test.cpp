#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/op_check.h"

namespace hinoki::optimizer_test {
namespace {

// Two matrices and a vector of which nothing is a multiple of a word of decay bits.
struct Model {
  Parameters parameters{DType::f32};
  Model() {
    Scope scope(parameters);
    scope.parameter("early", {33, 17}, normal_init(1));
    scope.parameter("late", {29, 31}, normal_init(1));
    scope.parameter("never", {40, 40}, normal_init(1));
    parameters.allocate();
    parameters.initialize(1);
  }
  // One update in which the named parameters have gradients.
  void step(Optimizer& optimizer, int64_t update, const std::vector<std::string>& with_gradient) {
    parameters.clear_gradients();
    for (const std::string& name : with_gradient) {
      const Parameter& p = parameters.find(name);
      copy_elements(test::uniform(p.shape, -1, 1, uint64_t(update), DType::f32), p.value.grad());
      p.value.edge().leaf->fresh = false;
    }
    parameters.finish_gradients();
    optimizer.update(0.01, 1, update);
  }
  std::vector<double> values(const std::string& name) const {
    return test::values(parameters.find(name).value.detach());
  }
};

int64_t learns_from(const Parameter& p) { return p.name == "late" ? 3 : p.name == "never" ? INT64_MAX : 0; }

TEST(Optimizer, LeavesFrozenParametersAsTheyAre) {
  Model model;
  Optimizer optimizer(model.parameters, {.weight_decay = 0.1});
  optimizer.learn_from(learns_from);
  const auto early = model.values("early"), late = model.values("late"), never = model.values("never");
  for (int64_t update = 0; update < 3; ++update) model.step(optimizer, update, {"early"});
  EXPECT_EQ(model.values("late"), late);
  EXPECT_NE(model.values("early"), early);
  for (int64_t update = 3; update < 5; ++update) model.step(optimizer, update, {"early", "late"});
  const auto learned = model.values("late");
  for (size_t i = 0; i < late.size(); ++i) EXPECT_NE(learned[i], late[i]) << i;
  EXPECT_EQ(model.values("never"), never);
}

// Decay starts with learning, not before: without a gradient, it alone shrinks a weight.
TEST(Optimizer, DecaysFromWhereAParameterLearns) {
  Model model;
  Optimizer optimizer(model.parameters, {.weight_decay = 0.1});
  optimizer.learn_from(learns_from);
  const auto late = model.values("late");
  model.step(optimizer, 2, {});
  EXPECT_EQ(model.values("late"), late);
  model.step(optimizer, 3, {});
  const auto decayed = model.values("late");
  for (size_t i = 0; i < late.size(); ++i) EXPECT_NEAR(decayed[i], late[i] * (1 - 0.01 * 0.1), 1e-6);
}

// Said late or not at all, everything learns from the first update.
TEST(Optimizer, LearnsFromTheFirstUpdateUnlessTold) {
  Model model, told;
  Optimizer plain(model.parameters, {}), zero(told.parameters, {});
  zero.learn_from([](const Parameter&) { return 0; });
  model.step(plain, 0, {"early", "never"});
  told.step(zero, 0, {"early", "never"});
  for (const char* name : {"early", "late", "never"}) EXPECT_EQ(model.values(name), told.values(name)) << name;
}

}  // namespace
}  // namespace hinoki::optimizer_test
