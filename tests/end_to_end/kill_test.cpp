// A run killed at random moments: while it starts, steps, writes, publishes, prunes, whatever the moments hit. After
// each the newest snapshot is whole and not older than one the run has spoken of, and in the end the bits are those of
// an undisturbed run.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "core/base/philox.h"
#include "tests/end_to_end/undisturbed.h"
#include "tests/support/torture.h"
#include "train/manifest.h"
#include "train/publication.h"

namespace hinoki {
namespace {

using std::chrono::microseconds;
using std::chrono::steady_clock;

// How long a run takes to its first step, on this machine at this load.
microseconds time_to_start(const test::TinyProgram& p, const test::Undisturbed& whole) {
  const auto begin = steady_clock::now();
  test::Program program(whole.train(p.config("first")));
  EXPECT_TRUE(program.wait_for("step "));
  return std::chrono::duration_cast<microseconds>(steady_clock::now() - begin);
}

// One run in four is killed at any time while it starts, the others within moments after a step of theirs was heard of.
// False if it had ended by itself.
bool kill_one(const std::vector<std::string>& train, const Random4& random, microseconds start, std::string& said) {
  test::Program program(train);
  const bool while_starting = random[0] % 4 == 0;
  if (!while_starting) program.wait_for("step ");
  const int64_t longest = while_starting ? start.count() : 40'000;
  std::this_thread::sleep_for(microseconds(random[1] % longest));
  program.send(SIGKILL);
  const test::Outcome outcome = program.finish();
  EXPECT_TRUE(outcome.code == -SIGKILL || outcome.code == 0) << outcome.err;
  said = outcome.err;
  return outcome.code == -SIGKILL;
}

// The step of the last snapshot that the run said it had saved; -1: of none.
int64_t last_saved(const std::string& said) {
  const std::string word = "/snapshots/step-";
  const size_t line = said.rfind("\nsaved "), at = said.find(word, line);
  return line == said.npos || at == said.npos ? -1 : std::stoll(said.substr(at + word.size()));
}

struct Losses {
  int64_t broken = 0, lost = 0;
};

void look_for_losses(const std::string& run, int64_t& newest, Losses& losses) {
  int64_t found = -1;
  for (const SnapshotPath& s : list_snapshots(run + "/snapshots")) {
    const auto damage = verify_snapshot(s.path);
    losses.broken += !damage.empty();
    EXPECT_TRUE(damage.empty()) << damage[0];
    found = s.step;
  }
  losses.lost += found < newest;
  EXPECT_GE(found, newest) << run << ": a published snapshot is gone";
  newest = found;
}

TEST(Killed, AgainAndAgainItEndsTheSame) {
  const int64_t wanted = test::torture_count("HINOKI_TORTURE_KILLS", 50);
  const test::TinyProgram p;
  const test::Undisturbed whole(p, {"train.steps=200", "log.every=1", "log.snapshot_every=3", "log.keep_last=2"});
  EXPECT_EQ(whole.losses.size(), 200u);
  const microseconds start = time_to_start(p, whole);
  Losses losses;
  int64_t kills = 0, runs = 0, tries = 0;
  while (kills < wanted) {  // a run that comes to its end is compared, and another one takes its place
    const std::string name = "killed-" + std::to_string(runs++), config = p.config(name), run = p.path(name);
    int64_t newest = -1;
    for (bool ended = false; kills < wanted && !ended;) {
      ASSERT_LT(tries, 20 * wanted) << "runs end before they can be killed";
      std::string said;
      ended = !kill_one(whole.train(config), philox({.seed = 41}, uint64_t(tries++)), start, said);
      kills += !ended;
      newest = std::max(newest, last_saved(said));
      look_for_losses(run, newest, losses);
    }
    p.tiny.folder.write(name + "/config.toml.tmp-4711", "half");  // moments too short to be hit
    p.tiny.folder.write(name + "/samples/step-1.txt.tmp-4711", "half");
    p.tiny.folder.write(name + "/snapshots/step-00000007.tmp-4711/model.safetensors", "half");
    test::expect_outcome(0, {}, whole.train(config));
    whole.expect_same(p, run);
    test::expect_tidy(run);
  }
  std::printf(
      "kills: %lld at random moments of %lld runs, %lld snapshots broken, %lld lost, all ended with the same "
      "bits: %s\n",
      (long long)kills, (long long)runs, (long long)losses.broken, (long long)losses.lost,
      testing::Test::HasFailure() ? "NO" : "yes");
}

}  // namespace
}  // namespace hinoki
