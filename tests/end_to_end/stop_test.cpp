// Runs that are stopped, killed, and started twice: in the end the undisturbed run's bits, and nothing lost or left
// over.
#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "core/base/file.h"
#include "core/base/philox.h"
#include "tests/end_to_end/tiny_program.h"

namespace hinoki {
namespace {

using test::expect_outcome;

constexpr const char* kSteps = "train.steps=120";  // most of a second
constexpr const char* kSnapshots = "log.snapshot_every=8";

struct Undisturbed {
  std::string bytes;
  std::vector<std::string> losses;

  explicit Undisturbed(const test::TinyProgram& p) {
    expect_outcome(0, {}, {"train", p.config("whole"), kSteps, kSnapshots});
    bytes = test::weights_of(p.newest_snapshot(p.path("whole")));
    losses = test::losses_in(p.path("whole"));
    EXPECT_EQ(losses.size(), 120u);
  }
};

void expect_same(const test::TinyProgram& p, const std::string& name, const Undisturbed& whole) {
  const std::string run = p.path(name), last = p.newest_snapshot(run);
  ASSERT_TRUE(last.ends_with("step-00000120")) << last;
  EXPECT_TRUE(test::weights_of(last) == whole.bytes) << name << ": weights or moments differ";
  EXPECT_EQ(test::losses_in(run), whole.losses) << name;
  expect_outcome(0, {last + ": whole"}, {"snapshot", "verify", run});
}

// Names that a run folder may have when nobody works there.
void expect_tidy(const std::string& run) {
  for (const std::string& name : test::names_in(run)) {
    const std::set<std::string> known = {"config.toml", "log.txt", "metrics.jsonl", "run.lock", "samples", "snapshots"};
    EXPECT_TRUE(known.contains(name) || name.starts_with("events.out.tfevents.")) << name;
  }
  for (const std::string& file : list_tree(run)) EXPECT_EQ(file.find("tmp"), file.npos) << file;
}

TEST(Stopping, SignalsSaveAndTheRunGoesOnAsIfNothingHadHappened) {
  const test::TinyProgram p;
  const Undisturbed whole(p);
  for (const auto& [number, word] : {std::pair{SIGTERM, "TERM"}, {SIGINT, "INT"}, {SIGUSR1, "USR1"}}) {
    const std::string name = word, run = p.path(name);
    test::Program program({"train", p.config(name), kSteps, kSnapshots});
    ASSERT_TRUE(program.wait_for("step   1/120"));
    program.send(number);
    const test::Outcome stopped = program.finish();
    EXPECT_EQ(stopped.code, 75) << stopped.err;
    for (const std::string& part :
         {"stopped by SIG" + name + " after step", std::string(" and saved"), "`hinoki train --resume " + run + "`"})
      EXPECT_NE(stopped.err.find(part), std::string::npos) << part << " lacks in\n" << stopped.err;
    expect_outcome(0, {": whole"}, {"snapshot", "verify", run});
    expect_tidy(run);
    expect_outcome(0, {"resumed from " + run + "/snapshots/step-"}, {"train", "--resume", run});
    expect_same(p, name, whole);
    expect_outcome(0, {"all 120 steps are done"}, {"train", "--resume", run});
    expect_same(p, name, whole);
  }
}

// Also while a run starts, writes, publishes, prunes: whatever the moments hit.
TEST(Stopping, KilledAgainAndAgainItEndsTheSame) {
  const test::TinyProgram p;
  const Undisturbed whole(p);
  const std::string config = p.config("killed");
  int killed = 0;
  for (uint64_t i = 0; i < 12; ++i) {
    test::Program program({"train", config, kSteps, kSnapshots});
    program.run_for(std::chrono::milliseconds(philox({.seed = 41}, i)[0] % 350));
    program.send(SIGKILL);
    killed += program.finish().code == -SIGKILL;
  }
  EXPECT_GE(killed, 3) << "the run is too short for this machine";
  p.tiny.folder.write("killed/config.toml.tmp-4711", "half");  // moments too short to be hit
  p.tiny.folder.write("killed/samples/step-1.txt.tmp-4711", "half");
  p.tiny.folder.write("killed/snapshots/step-00000007.tmp-4711/model.safetensors", "half");
  expect_outcome(0, {}, {"train", config, kSteps, kSnapshots});
  expect_same(p, "killed", whole);
  expect_tidy(p.path("killed"));
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
  for (uint64_t i = 0; i < 6; ++i) {
    test::Program program(prepare("killed"));
    program.run_for(spent * (philox({.seed = 3}, i)[0] % 100) / 100);
    if (i == 0) expect_outcome(2, {p.path("killed") + ": is in use by process"}, prepare("killed"));
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
}  // namespace hinoki
