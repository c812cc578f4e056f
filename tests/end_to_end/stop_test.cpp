// Runs that are stopped, and started twice: in the end the undisturbed run's bits, and nothing lost or left
// over.
#include <gtest/gtest.h>

#include <csignal>

#include "core/base/file.h"
#include "core/base/philox.h"
#include "tests/end_to_end/undisturbed.h"
#include "train/run_lock.h"

namespace hinoki::stop_test {
namespace {

using test::expect_outcome;

constexpr const char* kSteps = "train.steps=120";  // most of a second
constexpr const char* kSnapshots = "log.snapshot_every=8";

TEST(Stopping, SignalsSaveAndTheRunGoesOnAsIfNothingHadHappened) {
  const test::TinyProgram p;
  const test::Undisturbed whole(p, {kSteps, kSnapshots});
  EXPECT_EQ(whole.losses.size(), 120u);
  for (const auto& [number, word] : {std::pair{SIGTERM, "TERM"}, {SIGINT, "INT"}, {SIGUSR1, "USR1"}}) {
    const std::string name = word, run = p.path(name);
    test::Program program(whole.train(p.config(name)));
    ASSERT_TRUE(program.wait_for("step   1/120"));
    program.send(number);
    const test::Outcome stopped = program.finish();
    EXPECT_EQ(stopped.code, 75) << stopped.err;
    for (const std::string& part :
         {"stopped by SIG" + name + " after step", std::string(" and saved"), "`hinoki train --resume " + run + "`"})
      EXPECT_NE(stopped.err.find(part), std::string::npos) << part << " lacks in\n" << stopped.err;
    expect_outcome(0, {": whole"}, {"snapshot", "verify", run});
    test::expect_tidy(run);
    expect_outcome(0, {"resumed from " + run + "/snapshots/step-"}, {"train", "--resume", run});
    whole.expect_same(p, run);
    expect_outcome(0, {"all 120 steps are done"}, {"train", "--resume", run});
    whole.expect_same(p, run);
  }
}

TEST(Stopping, ASecondRunInTheSameFolderIsRefusedAndNamesTheFirst) {
  const test::TinyProgram p;
  const std::string config = p.config("shared");
  test::Program first({"train", config, "train.steps=100000"});
  ASSERT_TRUE(first.wait_for("step      1/"));
  expect_outcome(2, {p.path("shared") + ": is in use by process " + std::to_string(first.pid()), "choose another"},
                 {"train", config});
  expect_outcome(2, {"is in use by process"}, {"snapshot", "prune", p.path("shared")});
  first.send(SIGTERM);
  EXPECT_EQ(first.finish().code, 75);
  expect_outcome(0, {}, {"snapshot", "prune", p.path("shared")});
}

// Whoever read the messages has gone away: the run has not.
TEST(Stopping, ALostReaderDoesNotEndARun) {
  const test::TinyProgram p;
  test::Program program({"train", p.config("unheard"), kSteps, "log.every=1"});
  ASSERT_TRUE(program.wait_for("step   1/120"));
  program.stop_listening();
  EXPECT_EQ(program.finish().code, 0);
  EXPECT_TRUE(p.newest_snapshot(p.path("unheard")).ends_with("step-00000120"));
}

TEST(Stopping, PreparedTextKilledAgainAndAgainIsTheSame) {
  const test::TinyProgram p;
  const std::string input = p.tiny.folder.write("in.txt", test::numbered_lines(30000)).string();
  const auto prepare = [&](const std::string& name) {
    return std::vector<std::string>{"data",        "text",       "--input",        input,
                                    "--output",    p.path(name), "--tokenizer",    p.path("spiece.model"),
                                    "--documents", "line",       "--shard-tokens", "50000"};
  };
  const auto begin = std::chrono::steady_clock::now();
  expect_outcome(0, {"30000 lines"}, prepare("whole"));
  const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  p.tiny.folder.write("killed/spiece.model.tmp-4711", "half");
  {
    const RunLock another(p.path("killed"));
    expect_outcome(2, {p.path("killed") + ": is in use by process"}, prepare("killed"));
  }
  for (uint64_t i = 0; i < 6; ++i) {
    test::Program program(prepare("killed"));
    program.run_for(spent * (philox({.seed = 3}, i)[0] % 100) / 100);
    program.send(SIGKILL);
    program.finish();
  }
  expect_outcome(0, {}, prepare("killed"));
  EXPECT_EQ(list_tree(p.path("killed")), list_tree(p.path("whole")));
  for (const std::string& file : list_tree(p.path("whole")))
    EXPECT_TRUE(file == "run.lock" || bytes_of_file(p.path("killed/" + file)) == bytes_of_file(p.path("whole/" + file)))
        << file;
}

// Printed, not judged: it depends on the machine.
TEST(Stopping, TimeToTheFirstStep) {
  const test::TinyProgram p;
  const auto begin = std::chrono::steady_clock::now();
  test::Program program({"train", p.config("first"), "train.steps=1000"});
  EXPECT_TRUE(program.wait_for("step    1/"));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("the first step of a tiny run was done after %.3f s\n", seconds);
}

}  // namespace
}  // namespace hinoki::stop_test
