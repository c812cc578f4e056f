#include "tests/end_to_end/undisturbed.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/file.h"

namespace hinoki::test {

Undisturbed::Undisturbed(const TinyProgram& p, std::vector<std::string> o) : overrides(std::move(o)) {
  const std::string run = p.path("whole");
  const auto begin = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  };
  Program program(train(p.config("whole")));
  EXPECT_TRUE(program.wait_for("\nstep "));
  to_first_step = passed();
  const Outcome outcome = program.finish();
  to_end = passed();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const std::string snapshot = p.newest_snapshot(run);
  last = std::filesystem::path(snapshot).filename();
  bytes = weights_of(snapshot);
  losses = losses_in(run);
}

std::vector<std::string> Undisturbed::train(const std::string& config) const {
  std::vector<std::string> arguments{"train", config};
  arguments.insert(arguments.end(), overrides.begin(), overrides.end());
  return arguments;
}

void Undisturbed::expect_same(const TinyProgram& p, const std::string& run) const {
  const std::string newest = p.newest_snapshot(run);
  ASSERT_EQ(newest, run + "/snapshots/" + last);
  EXPECT_TRUE(weights_of(newest) == bytes) << run << ": weights or moments differ";
  EXPECT_EQ(losses_in(run), losses) << run;
  expect_outcome(0, {newest + ": whole"}, {"snapshot", "verify", run});
}

void expect_tidy(const std::string& run) {
  for (const std::string& name : names_in(run)) {
    const std::set<std::string> known = {"config.toml", "log.txt", "metrics.jsonl", "run.lock", "samples", "snapshots"};
    EXPECT_TRUE(known.contains(name) || name.starts_with("events.out.tfevents.")) << name;
  }
  for (const std::string& file : list_tree(run)) EXPECT_EQ(file.find("tmp"), file.npos) << file;
}

}  // namespace hinoki::test
