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

namespace hinoki::kill_test {
namespace {

using std::chrono::microseconds;

constexpr int64_t kSaves = 30;

// Of four runs one is killed at any time while it starts, one after a step of its was heard of and two after a save, in
// the time that a save takes. False if it had ended by itself.
bool kill_one(const test::Undisturbed& whole, const std::string& config, const Random4& random, std::string& said) {
  test::Program program(whole.train(config));
  const bool while_starting = random[0] % 4 == 0;
  if (!while_starting) program.wait_for(random[0] % 4 == 1 ? "\nstep " : "\nsaved ");
  const microseconds longest = while_starting ? whole.to_first_step : (whole.to_end - whole.to_first_step) / kSaves;
  std::this_thread::sleep_for(microseconds(random[1] % std::max<int64_t>(longest.count(), 1)));
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
  int64_t further = 0;  // kills after which there was a newer snapshot than before
};

void look_for_losses(const std::string& run, int64_t said, int64_t& newest, Losses& losses) {
  int64_t found = -1;
  for (const SnapshotPath& s : list_snapshots(run + "/snapshots")) {
    const auto damage = verify_snapshot(s.path);
    losses.broken += !damage.empty();
    EXPECT_TRUE(damage.empty()) << damage[0];
    found = s.step;
  }
  losses.lost += found < std::max(newest, said);
  EXPECT_GE(found, std::max(newest, said)) << run << ": a published snapshot is gone";
  losses.further += found > newest;
  newest = found;
}

TEST(Killed, AgainAndAgainItEndsTheSame) {
  const int64_t wanted = test::torture_count("HINOKI_TORTURE_KILLS", 50);
  const test::TinyProgram p;
  const test::Undisturbed whole(p, {"train.steps=90", "log.every=1", "log.snapshot_every=3", "log.keep_last=2"});
  EXPECT_EQ(whole.losses.size(), size_t(3 * kSaves));
  Losses losses;
  int64_t kills = 0, runs = 0, tries = 0;
  while (kills < wanted) {  // a run that comes to its end is compared, and another one takes its place
    const std::string name = "killed-" + std::to_string(runs++), config = p.config(name), run = p.path(name);
    int64_t newest = -1;
    for (bool ended = false; kills < wanted && !ended;) {
      ASSERT_LT(tries, 20 * wanted) << "runs end before they can be killed";
      std::string said;
      ended = !kill_one(whole, config, philox({.seed = 41}, uint64_t(tries++)), said);
      kills += !ended;
      look_for_losses(run, last_saved(said), newest, losses);
    }
    p.tiny.folder.write(name + "/config.toml.tmp-4711", "half");  // moments too short to be hit
    p.tiny.folder.write(name + "/samples/step-1.txt.tmp-4711", "half");
    p.tiny.folder.write(name + "/snapshots/step-00000007.tmp-4711/model.safetensors", "half");
    test::expect_outcome(0, {}, whole.train(config));
    whole.expect_same(p, run);
    test::expect_tidy(run);
  }
  EXPECT_GE(losses.further, wanted / 4) << "the kills hit nothing but starts";
  std::printf(
      "kills: %lld at random moments of %lld runs, %lld after a newer snapshot, %lld snapshots broken, %lld lost, ",
      (long long)kills, (long long)runs, (long long)losses.further, (long long)losses.broken, (long long)losses.lost);
  std::printf("all runs ended with the same bits: %s\n", testing::Test::HasFailure() ? "NO" : "yes");
}

}  // namespace
}  // namespace hinoki::kill_test
