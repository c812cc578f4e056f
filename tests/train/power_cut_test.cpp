// A power cut at any system call of a save, and whatever it takes of what was not flushed: the old snapshot or the new
// one is there and whole, and nothing broken is in sight.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "core/base/hash128.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/quiet_test.h"
#include "tests/support/ranks.h"
#include "tests/support/simulated_disk.h"
#include "tests/support/tiny_run.h"
#include "tests/support/tiny_snapshot.h"
#include "tests/support/torture.h"
#include "train/metrics.h"
#include "train/run.h"

namespace hinoki::power_cut_test {
namespace {

std::vector<Loss> all_losses(int64_t seeds) {
  std::vector<Loss> losses;
  for (const auto kind : {Loss::everything, Loss::nothing, Loss::data, Loss::data_zeroed, Loss::names})
    losses.push_back({kind});
  for (int64_t i = 0; i < seeds; ++i) losses.push_back({Loss::some, uint64_t(i)});
  return losses;
}

struct Recorded {
  SimulatedDisk before;
  std::vector<DiskCall> calls;
};

Recorded record(const std::filesystem::path& root, const std::function<void()>& save) {
  SimulatedDisk before(root);
  const RecordedCalls recording;
  save();
  return {std::move(before), RecordedCalls::calls()};
}

struct Judged {
  int64_t calls = 0, cuts = 0, disks = 0;
  std::vector<std::string> faults = {};
};

// `judge` says what is wrong with a run folder as a power cut has left it, and whether the new snapshot is there.
// Once it is there whatever is lost, it has to stay.
struct Verdict {
  bool is_new;
  std::string fault;
};
Judged cut_everywhere(Recorded recorded, const std::vector<Loss>& losses,
                      const std::function<Verdict(const std::string& run)>& judge) {
  Judged result{.calls = int64_t(recorded.calls.size())};
  std::map<Hash128, Verdict> known;  // most cuts leave the same disk as another
  bool stays = false;
  for (size_t done = 0; done <= recorded.calls.size(); ++done) {
    if (done > 0) recorded.before.apply(recorded.calls[done - 1]);
    bool all_new = true;
    for (Loss loss : losses) {
      loss.seed += losses.size() * done;  // other coins at every call
      const SimulatedDisk::Tree tree = recorded.before.after_power_cut(loss);
      Hasher128 hasher;
      for (const auto& [path, bytes] : tree) hasher.add(path.c_str(), path.size() + 1), hasher.add(bytes_of(bytes));
      const auto [at, is_fresh] = known.try_emplace(hasher.value());
      if (is_fresh) {
        const TemporaryFolder folder;
        write_tree(tree, folder.path());
        at->second = judge(folder.path());
      }
      const Verdict& verdict = at->second;
      const std::string where = say("after call ", done, ", loss ", int(loss.kind), " seed ", loss.seed, ": ");
      if (!verdict.fault.empty()) result.faults.push_back(where + verdict.fault);
      if (stays && !verdict.is_new) result.faults.push_back(where + "the new snapshot is gone again");
      all_new &= verdict.is_new;
      ++result.cuts;
    }
    stays |= all_new;
  }
  if (!stays) result.faults.push_back("the save has returned, and the snapshot can still be lost");
  result.disks = int64_t(known.size());
  return result;
}

void expect_no_faults(const char* what, const Judged& j) {
  for (const std::string& fault : j.faults) ADD_FAILURE() << fault;
  std::printf("power cuts, %s: %lld cuts at %lld calls leave %lld different disks, %zu of them at fault\n", what,
              (long long)j.cuts, (long long)j.calls, (long long)j.disks, j.faults.size());
}

// Of tiny snapshots, in which every value is the step: `expected` may be the newest, one of step -1 meaning none.
Verdict judge_tiny(const std::string& run, const std::set<int64_t>& expected, int64_t next) {
  const std::string snapshots = run + "/snapshots";
  int64_t newest = -1;
  for (const SnapshotPath& s : list_snapshots(snapshots)) {
    newest = s.step;
    if (const auto damage = verify_snapshot(s.path); !damage.empty()) return {false, "in sight is " + damage[0]};
    if (read_tiny_snapshot(s.path) != float(s.step)) return {false, s.path + " holds another step"};
  }
  if (!expected.contains(newest)) return {false, say("the newest is of step ", newest)};
  remove_leftovers(snapshots, RunLock(run));
  const FaultyDisk no_flushes;
  publish_tiny_snapshot(snapshots, next);
  for (const std::string& name : list_directory(snapshots))
    if (name.find("tmp") != name.npos) return {false, name + " is left after the next save"};
  return {newest == *expected.rbegin(), ""};
}

class PowerCut : public testing::Test {
 protected:
  const TemporaryFolder run_;
  const std::string snapshots_ = run_ / "snapshots";
  const std::vector<Loss> losses_ = all_losses(test::torture_count("HINOKI_TORTURE_SEEDS", 10));

  void publish(int64_t step, Retention rule = {}) {
    const std::string path = publish_tiny_snapshot(snapshots_, step);
    for (const SnapshotPath& old : to_prune(snapshots_, rule, path)) remove_snapshot(old);
  }
};

TEST_F(PowerCut, FirstSnapshotOfAll) {
  const auto recorded = record(run_.path(), [&] { publish(1); });
  expect_no_faults("first snapshot", cut_everywhere(recorded, losses_, [](const std::string& run) {
                     return judge_tiny(run, {-1, 1}, 2);
                   }));
}

TEST_F(PowerCut, NextSnapshotAndThePruningOfTheOldOnes) {
  publish(1), publish(2);
  const auto recorded = record(run_.path(), [&] { publish(3, {.keep_last = 1}); });
  expect_no_faults("next snapshot, two old ones removed", cut_everywhere(recorded, losses_, [](const std::string& run) {
                     return judge_tiny(run, {2, 3}, 4);
                   }));
}

// The damaged one of step 2 was rejected, and training has come to step 2 again.
TEST_F(PowerCut, SnapshotThatReplacesOneOfItsStep) {
  publish(1), publish(2);
  FileWriter::open(snapshots_ + "/step-00000002/config.json").pwrite(bytes_of("x"), 3);
  const auto recorded = record(run_.path(), [&] { publish(2); });
  const auto judge = [](const std::string& run) -> Verdict {
    const UsableSnapshot usable = find_usable(run + "/snapshots");
    if (!usable.found || read_tiny_snapshot(usable.found->path) != float(usable.found->step))
      return {false, "no whole one"};
    return {usable.found->step == 2, ""};
  };
  expect_no_faults("snapshot in place of a damaged one", cut_everywhere(recorded, losses_, judge));
}

TEST_F(PowerCut, NewRunFolderStays) {
  const std::string path = run_ / "runs/new/one";
  Recorded recorded = record(run_.path(), [&] { make_directory_durably(path); });
  for (const DiskCall& call : recorded.calls) recorded.before.apply(call);
  EXPECT_TRUE(recorded.before.after_power_cut({Loss::everything}).contains("/runs/new/one/"));
}

// That the test can fail: a save that does not flush its files, or its folders, is found out.
TEST_F(PowerCut, ASaveThatDoesNotFlushIsFoundOut) {
  publish(1);
  const auto recorded = record(run_.path(), [&] { publish(2); });
  const auto faults_without = [&](bool folders, bool files) {
    Recorded careless{recorded.before, {}};
    std::map<int, bool> is_folder;
    for (const DiskCall& call : recorded.calls) {
      if (call.kind == DiskCall::open) is_folder[call.file] = call.flags & O_DIRECTORY;
      if (call.kind == DiskCall::fsync && (is_folder[call.file] ? folders : files)) continue;
      careless.calls.push_back(call);
    }
    return cut_everywhere(careless, losses_,
                          [](const std::string& run) {
                            return judge_tiny(run, {1, 2}, 3);
                          })
        .faults.size();
  };
  EXPECT_EQ(faults_without(false, false), 0u);
  EXPECT_GT(faults_without(true, false), 0u);
  EXPECT_GT(faults_without(false, true), 0u);
}

// A real save beside the records that lead to it, by one rank, or by two that each write their parts.
struct SavedRun {
  test::TinyRun tiny;
  GptConfig config = tiny.config;
  int ranks;
  std::map<int64_t, Hash128> bits;              // of weights and moments, by step
  std::map<int64_t, std::string> records = {};  // up to that step

  explicit SavedRun(int n) : ranks(n) {
    config.log.keep_last = 1;
    config.train.zero = n > 1;
    make_directory(config.run);
  }
  std::string snapshots() const { return config.run + "/snapshots"; }
  static Hash128 bits_of(const std::string& path) {
    return hash128(bytes_of_file(path + "/model.safetensors") + bytes_of_file(path + "/state/optimizer.safetensors"));
  }

  // Goes on from what is there, as the program does.
  void train(int64_t until) {
    test::on_ranks(ranks, [&](Communicator& all) {
      hinoki::Run run(config, all);
      if (const auto usable = find_usable(snapshots()); usable.found) run.resume(usable.found->path);
      std::optional<MetricsFile> metrics;
      if (all.first()) metrics.emplace(config.run + "/metrics.jsonl", run.steps_done());
      while (run.steps_done() < until) {
        const StepReport report = run.step();
        if (metrics) metrics->append(report.step, {{"train/loss", report.loss}});
      }
      run.start_saving([&] { metrics->sync(); });
      run.finish_saving();
    });
    bits[until] = bits_of(list_snapshots(snapshots()).back().path);
    records[until] = bytes_of_file(config.run + "/metrics.jsonl");
  }

  Verdict judge(const std::string& run) const {
    int64_t newest = -1;
    for (const SnapshotPath& s : list_snapshots(run + "/snapshots")) {
      newest = s.step;
      if (const auto damage = verify_snapshot(s.path); !damage.empty()) return {false, "in sight is " + damage[0]};
      if (!bits.contains(newest) || bits_of(s.path) != bits.at(newest)) return {false, s.path + " holds other bits"};
    }
    if (newest < 0) return {false, "no snapshot is left"};
    if (!bytes_of_file(run + "/metrics.jsonl").starts_with(records.at(newest)))
      return {false, say("records before the snapshot of step ", newest, " are lost")};
    return {newest == bits.rbegin()->first, ""};
  }
};

class PowerCutOfARun : public test::QuietTest<testing::TestWithParam<int>> {};

TEST_P(PowerCutOfARun, LeavesTheOldSnapshotOrTheNewAndTheRecordsBeforeIt) {
  SavedRun run(GetParam());
  run.train(1);
  const Recorded recorded = record(run.config.run, [&] { run.train(3); });
  EXPECT_EQ(list_snapshots(run.snapshots()).size(), 1u);
  const int64_t seeds = test::torture_count("HINOKI_TORTURE_SEEDS", 3);
  const auto judge = [&](const std::string& folder) { return run.judge(folder); };
  expect_no_faults(run.ranks == 1 ? "save of a run" : "save of a run of two ranks",
                   cut_everywhere(recorded, all_losses(seeds), judge));
}

INSTANTIATE_TEST_SUITE_P(Ranks, PowerCutOfARun, testing::Values(1, 2));

}  // namespace
}  // namespace hinoki::power_cut_test
