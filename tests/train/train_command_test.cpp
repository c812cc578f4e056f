// What `hinoki train` says when a run begins.
#include <gtest/gtest.h>

#include "core/base/device.h"
#include "core/base/log.h"
#include "tests/support/quiet_test.h"
#include "tests/support/train_command.h"
#include "train/plan.h"
#include "train/recipe.h"

namespace hinoki {
namespace {

class TrainCommand : public test::QuietTest<testing::TestWithParam<Device>> {
 protected:
  void TearDown() override {
    QuietTest::TearDown();
    copy_log_to("");
  }
};

// The plan, line by line, and the device, before the first step.
TEST_P(TrainCommand, PrintsThePlanBeforeTheFirstStep) {
  if (!has_device(GetParam())) return;
  test::TinyRun tiny;
  tiny.config.device = GetParam();
  tiny.config.train.steps = 1;
  tiny.config.samples.tokens = 0;
  test::train(tiny, tiny.config);
  const std::string log = bytes_of_file(tiny.config.run + "/log.txt"), start = log.substr(0, log.find("step 1/1 | "));
  ASSERT_LT(start.size(), log.size()) << log;
  const RecipeOf<GptConfig> recipe(tiny.config);
  const std::string plan = print_plan(recipe, recipe.epoch());
  EXPECT_NE(plan.find("activations, about"), std::string::npos);
  EXPECT_NE(plan.find("total, about"), std::string::npos);
  EXPECT_NE(start.find(plan), std::string::npos) << "the plan\n" << plan << "is not in\n" << start;
  if (GetParam() == Device::cuda) {
    EXPECT_NE(start.find(cuda_device->name), std::string::npos) << start;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, TrainCommand, testing::Values(Device::cpu, Device::cuda),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace hinoki
