// What `hinoki train` says when a run begins.
#include "tests/support/train_command.h"

#include <gtest/gtest.h>

#include "core/base/clock.h"
#include "core/base/device.h"
#include "core/base/log.h"
#include "tests/support/quiet_test.h"
#include "train/plan.h"
#include "train/recipe.h"

namespace hinoki::train_command_test {
namespace {

class TrainCommand : public test::QuietTest<testing::TestWithParam<Device>> {
 protected:
  void TearDown() override {
    QuietTest::TearDown();
    copy_log_to("");
  }

  struct OneStep : test::TinyRun {  // on the device, without samples
    OneStep() {
      config.device = GetParam();
      config.train.steps = 1;
      config.samples.tokens = 0;
    }
  };
};

// The plan, line by line, and the device, before the first step.
TEST_P(TrainCommand, PrintsThePlanBeforeTheFirstStep) {
  if (!has_device(GetParam())) return;
  const OneStep tiny;
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

// Once for each start that has a step to do, behind the plan: no more than the command itself took.
TEST_P(TrainCommand, SaysWhenTheFirstStepBegins) {
  if (!has_device(GetParam())) return;
  const OneStep tiny;
  const double begin = steady_seconds();
  test::train(tiny, tiny.config);
  const double all = steady_seconds() - begin;
  const std::string file = tiny.config.run + "/log.txt", log = bytes_of_file(file);
  const size_t at = log.find("\nfirst step "), end = log.find(" s after the program began\n", at);
  ASSERT_NE(end, log.npos) << log;
  EXPECT_LT(log.find("total, about"), at);
  EXPECT_LT(end, log.find("step 1/1 | "));
  const std::string seconds = log.substr(at + 12, end - at - 12);
  EXPECT_EQ(seconds.find_first_not_of("0123456789."), seconds.npos) << seconds;
  EXPECT_LE(std::stod(seconds), all + 0.05);  // it is rounded to tenths
  test::train(tiny, tiny.config);
  EXPECT_EQ(log.rfind("first step "), bytes_of_file(file).rfind("first step ")) << "all steps were done";
}

// Every line of a sample, the prompt's own among them, behind a bar: none looks like a line of the program.
TEST_P(TrainCommand, ShowsSamplesBehindABar) {
  if (!has_device(GetParam())) return;
  OneStep tiny;
  tiny.config.samples = {.prompts = {"step 7/1 | loss\nstep 8/1 | loss\n\n猫"}, .tokens = 8};
  test::train(tiny, tiny.config);
  const std::string log = bytes_of_file(tiny.config.run + "/log.txt");
  EXPECT_NE(log.find("\n  | step 7/1 | loss\n  | step 8/1 | loss\n  | \n  | 猫"), log.npos) << log;
}

INSTANTIATE_TEST_SUITE_P(Devices, TrainCommand, testing::Values(Device::cpu, Device::cuda),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace hinoki::train_command_test
