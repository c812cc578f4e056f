// `hinoki train --profile`: steps that cannot be, and runs that go on, stop, or may not write.
#include <csignal>

#include "core/base/file.h"
#include "tests/end_to_end/tiny_program.h"
#include "tests/support/timeline.h"

namespace hinoki::end_to_end_profile_test {
namespace {

using test::expect_outcome;

std::vector<int64_t> recorded_steps(const std::string& run) {
  const auto events = test::read_timeline(read_file(run + "/profile/trace.json", 1 << 26));
  test::expect_nested(events);
  std::vector<int64_t> steps;
  for (const test::TimelineEvent& e : events)
    if (e.name == "step") steps.push_back(e.args["step"]);
  return steps;
}

TEST(ProfileCommand, StepsThatCannotBe) {
  const test::TinyProgram p;
  const std::string config = p.config("run");
  expect_outcome(2, {"--profile \"7\": give START:STOP"}, {"train", config, "--profile", "7"});
  expect_outcome(2, {"--profile 3:2: steps count from 1"}, {"train", config, "--profile", "3:2"});
  expect_outcome(2, {"--profile 3:21: the run ends after step 20"}, {"train", config, "--profile", "3:21"});
  EXPECT_FALSE(std::filesystem::exists(p.path("run"))) << "refused before anything is made";
}

TEST(ProfileCommand, RecordsWhatIsLeftOfItsSteps) {
  const test::TinyProgram p;
  const std::string config = p.config("run"), run = p.path("run");
  const std::string name = run + "/profile/trace.json";
  expect_outcome(0, {"wrote " + name + ": steps 9 to 10\n"}, {"train", config, "train.steps=10", "--profile", "9:10"});
  EXPECT_EQ(recorded_steps(run), (std::vector<int64_t>{9, 10}));
  const std::string before = bytes_of_file(name);
  expect_outcome(0, {"--profile 3:10: the run goes on from step 10; nothing is recorded"},
                 {"train", config, "train.steps=12", "--profile", "3:10"});
  EXPECT_EQ(bytes_of_file(name), before);
  expect_outcome(0, {"steps 13 to 14\n"}, {"train", "--resume", run, "train.steps=20", "--profile", "3:14"});
  EXPECT_EQ(recorded_steps(run), (std::vector<int64_t>{13, 14}));
}

TEST(ProfileCommand, ARunThatIsStoppedWritesWhatItHas) {
  const test::TinyProgram p;
  test::Program program({"train", p.config("run"), "train.steps=100000", "--profile", "1:100000"});
  ASSERT_TRUE(program.wait_for("step     10/"));
  program.send(SIGTERM);
  const test::Outcome stopped = program.finish();
  EXPECT_EQ(stopped.code, 75) << stopped.err;
  EXPECT_GE(recorded_steps(p.path("run")).size(), 10);
}

TEST(ProfileCommand, WhatCannotBeWrittenIsAWarning) {
  const test::TinyProgram p;
  const std::filesystem::path run = p.path("run"), profile = run / "profile";
  std::filesystem::create_directories(profile / "locked");
  std::filesystem::permissions(run, std::filesystem::perms(0777));
  std::filesystem::permissions(profile, std::filesystem::perms::none);
  expect_outcome(0, {"warning: the profile is not whole: ", "Permission denied", "step 20/20", "saved "},
                 {"train", p.config("run"), "--profile", "3:4"}, {.unprivileged = true});
  std::filesystem::permissions(profile, std::filesystem::perms::owner_all);
}

}  // namespace
}  // namespace hinoki::end_to_end_profile_test
