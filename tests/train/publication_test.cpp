#include "train/publication.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "core/base/file.h"
#include "core/base/philox.h"
#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_snapshot.h"
#include "train/manifest.h"

namespace hinoki::publication_test {
namespace {

void damage(const std::string& snapshot) {
  FileWriter file = FileWriter::open(snapshot + "/model.safetensors");
  file.pwrite(bytes_of("x"), file.size() - 1);
}

std::vector<int64_t> steps_in(const std::string& snapshots) {
  std::vector<int64_t> steps;
  for (const SnapshotPath& snapshot : list_snapshots(snapshots)) steps.push_back(snapshot.step);
  return steps;
}

void publish_quickly(const std::string& snapshots, int64_t step) {
  const FaultyDisk no_flushes;
  publish_tiny_snapshot(snapshots, step);
}

TEST(Publication, AppearsByRename) {
  const TemporaryFolder run;
  const std::string snapshots = run / "snapshots";
  EXPECT_TRUE(list_snapshots(snapshots).empty());
  EXPECT_FALSE(find_usable(snapshots).found);
  {
    Publication abandoned(snapshots, 5);
    EXPECT_TRUE(is_directory(abandoned.folder()));
    EXPECT_TRUE(list_snapshots(snapshots).empty());
  }
  EXPECT_TRUE(list_directory(snapshots).empty());  // nothing is left of it
  EXPECT_EQ(publish_tiny_snapshot(snapshots, 20), snapshots + "/step-00000020");
  publish_tiny_snapshot(snapshots, 100'000'000'000);  // more digits than usual
  EXPECT_EQ(steps_in(snapshots), (std::vector<int64_t>{20, 100'000'000'000}));
  EXPECT_EQ(find_usable(snapshots).found->step, 100'000'000'000);
}

TEST(Publication, FallsBackWithALineForEachRejected) {
  const TemporaryFolder run;
  for (const int64_t step : {1, 2, 3, 4}) publish_tiny_snapshot(run.path(), step);
  damage(run / "step-00000004");
  std::filesystem::remove(run / "step-00000003/manifest.json");
  const UsableSnapshot usable = find_usable(run.path());
  ASSERT_TRUE(usable.found);
  EXPECT_EQ(usable.found->step, 2);
  ASSERT_EQ(usable.rejected.size(), 2u);
  EXPECT_NE(usable.rejected[0].find("step-00000004 cannot be used"), std::string::npos);
  EXPECT_NE(usable.rejected[0].find("\"layer.weight\""), std::string::npos) << usable.rejected[0];
  EXPECT_NE(usable.rejected[1].find("step-00000003/manifest.json: is missing"), std::string::npos)
      << usable.rejected[1];
  // The resumed run comes to step 4 again and replaces the damaged one.
  publish_tiny_snapshot(run.path(), 4);
  EXPECT_EQ(find_usable(run.path()).found->step, 4);
  EXPECT_EQ(list_directory(run.path()).size(), 4u);
}

TEST(Publication, AMissingShardIsNamedAndTheSnapshotPassedOver) {
  const TemporaryFolder run;
  publish_tiny_snapshot(run.path(), 1);
  const std::vector<float> values(8, 2);
  Publication publication(run.path(), 2);
  SafetensorsWriter writer = SafetensorsWriter::create(
      publication.folder(),
      SafetensorsLayout({{"a", DType::f32, {8}}, {"b", DType::f32, {8}}, {"c", DType::f32, {8}}}, {.shard_bytes = 40}));
  for (const char* name : {"a", "b", "c"}) writer.write(name, std::as_bytes(std::span(values)));
  writer.finish();
  const std::string path = publication.publish(Json::object());
  ASSERT_TRUE(is_file(path + "/model-00002-of-00003.safetensors"));
  EXPECT_TRUE(verify_snapshot(path).empty());
  std::filesystem::remove(path + "/model-00002-of-00003.safetensors");
  const UsableSnapshot usable = find_usable(run.path());
  ASSERT_TRUE(usable.found);
  EXPECT_EQ(usable.found->step, 1);
  EXPECT_EQ(usable.rejected,
            std::vector{path + " cannot be used: " + path + "/model-00002-of-00003.safetensors: is missing"});
  expect_error(Exit::data, {"model-00002-of-00003.safetensors", "cannot read"}, [&] { ModelWeights::open(path); });
}

TEST(Publication, PruneKeepsTheRuleAndTheLastVerified) {
  const TemporaryFolder run;
  for (int64_t step = 10; step <= 80; step += 10) publish_tiny_snapshot(run.path(), step);
  const auto prune = [&](Retention rule) {
    for (const SnapshotPath& snapshot : to_prune(run.path(), rule)) remove_snapshot(snapshot);
    return steps_in(run.path());
  };
  EXPECT_EQ(prune({.keep_last = 8}), (std::vector<int64_t>{10, 20, 30, 40, 50, 60, 70, 80}));
  EXPECT_EQ(prune({.keep_last = 3, .keep_every = 30}), (std::vector<int64_t>{30, 60, 70, 80}));
  damage(run / "step-00000080");
  damage(run / "step-00000070");
  EXPECT_EQ(prune({.keep_last = 2}), (std::vector<int64_t>{60, 70, 80}));  // 60 is the last one that verifies
  damage(run / "step-00000060");
  EXPECT_EQ(prune({.keep_last = 1}), (std::vector<int64_t>{60, 70, 80}));  // none verifies: hands off
  EXPECT_EQ(list_directory(run.path()).size(), 3u);
  expect_error(Exit::usage, {"keep_last"}, [&] { to_prune(run.path(), {.keep_last = 0}); });
}

// What a rewind from any later step may need: one at least so old, of those that the cadence made, and all since.
TEST(Publication, PruneReachesBack) {
  const TemporaryFolder run;
  for (const int64_t step : {10, 20, 30, 35, 40, 50, 60, 67}) publish_tiny_snapshot(run.path(), step);
  const auto prune = [&](Retention rule) {
    for (const SnapshotPath& snapshot : to_prune(run.path(), rule)) remove_snapshot(snapshot);
    return steps_in(run.path());
  };
  EXPECT_EQ(prune({.keep_last = 1, .reach = 58, .cadence = 10}).size(), 8u);  // none is older than 9
  EXPECT_EQ(prune({.keep_last = 1, .reach = 30, .cadence = 10}), (std::vector<int64_t>{30, 35, 40, 50, 60, 67}));
  EXPECT_EQ(prune({.keep_last = 1, .reach = 0, .cadence = 10}), (std::vector<int64_t>{60, 67}));
}

TEST(Publication, LeftoversOfDeadWritersGo) {
  const TemporaryFolder run;
  publish_tiny_snapshot(run.path(), 1);
  std::filesystem::create_directories(run / "step-00000002.tmp-99999/state");
  std::filesystem::create_directories(run / "step-00000001.tmp-1.trash");
  std::filesystem::create_directories(run / "notes.tmp-1");
  remove_leftovers(run.path(), RunLock(run.path()));
  EXPECT_EQ(list_directory(run.path()), (std::vector<std::string>{"notes.tmp-1", "run.lock", "step-00000001"}));
}

TEST(Publication, AbortAtEverySystemCallLeavesOldOrNew) {
  for (const bool replaces : {false, true}) {
    int64_t calls;
    {
      const TemporaryFolder run;
      publish_tiny_snapshot(run.path(), 1);
      const FaultyDisk counting;
      publish_tiny_snapshot(run.path(), replaces ? 1 : 2);
      calls = FaultyDisk::calls();
    }
    EXPECT_GT(calls, 20);
    int64_t old_ones = 0;
    for (int64_t at = 0; at < calls; ++at) {
      const TemporaryFolder run;
      publish_quickly(run.path(), 1);
      {
        const FaultyDisk dies({.at = at, .error = EIO, .for_ever = true, .half = true});
        try {
          publish_tiny_snapshot(run.path(), replaces ? 1 : 2);
        } catch (const Error& error) {
          EXPECT_EQ(error.code, Exit::failure) << error.what();
        }
      }
      const UsableSnapshot usable = find_usable(run.path());
      ASSERT_TRUE(usable.found) << "call " << at;
      EXPECT_TRUE(usable.rejected.empty()) << "a broken snapshot was visible at call " << at;
      EXPECT_EQ(read_tiny_snapshot(usable.found->path), static_cast<float>(usable.found->step));
      old_ones += usable.found->step == 1;
      remove_leftovers(run.path(), RunLock(run.path()));
      EXPECT_EQ(list_directory(run.path()).size(), list_snapshots(run.path()).size() + 1) << "call " << at;
    }
    EXPECT_GT(old_ones, 0);
  }
}

TEST(Publication, AnErrorOfAnyCallLeavesNoRubbish) {
  int64_t calls;
  {
    const TemporaryFolder run;
    const FaultyDisk counting;
    publish_tiny_snapshot(run / "snapshots", 2);
    calls = FaultyDisk::calls();
  }
  for (const int error : {ENOSPC, EIO, EROFS}) {
    for (int64_t at = 0; at < calls; ++at) {
      const TemporaryFolder run;
      const std::string snapshots = run / "snapshots";
      publish_quickly(snapshots, 1);
      bool failed = false;
      {
        const FaultyDisk faulty({.at = at, .error = error, .half = true});
        try {
          publish_tiny_snapshot(snapshots, 2);
        } catch (const Error& caught) {
          failed = true;
          EXPECT_EQ(caught.code, Exit::failure);
          EXPECT_NE(std::string(caught.what()).find(run.path()), std::string::npos) << caught.what();
          if (error == ENOSPC) {
            EXPECT_NE(std::string(caught.what()).find("bytes free there"), std::string::npos) << caught.what();
          }
        }
      }
      const UsableSnapshot usable = find_usable(snapshots);
      ASSERT_TRUE(usable.found) << "call " << at;
      EXPECT_TRUE(failed || usable.found->step == 2) << "call " << at << " failed without a word";
      EXPECT_TRUE(usable.rejected.empty());
      for (const std::string& name : list_directory(snapshots))
        EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name << " is left after call " << at;
    }
  }
}

// Publishes for ever and sends a byte down the pipe after each.
[[noreturn]] void publish_until_killed(const std::string& snapshots, int64_t step, int pipe) {
  for (;; ++step) {
    try {
      publish_tiny_snapshot(snapshots, step);
      for (const auto& old : to_prune(snapshots, {.keep_last = 2})) remove_snapshot(old);
    } catch (...) {
      ::_exit(1);
    }
    if (::write(pipe, "x", 1) != 1) ::_exit(1);
  }
}

TEST(Publication, KilledWriterLeavesOldOrNew) {
  const TemporaryFolder run;
  const auto start = std::chrono::steady_clock::now();
  publish_tiny_snapshot(run.path(), 1);
  const auto duration = std::chrono::steady_clock::now() - start;
  const auto spread = std::chrono::duration_cast<std::chrono::microseconds>(3 * duration).count() + 1;
  int64_t newest = 1;
  for (uint64_t kill_number = 0; kill_number < 50; ++kill_number) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) publish_until_killed(run.path(), newest, ends[1]);  // the first one replaces what is there
    ASSERT_GT(child, 0);
    char byte;
    if (kill_number % 2) {  // some while replacing, the others after that
      EXPECT_EQ(::read(ends[0], &byte, 1), 1);
    }
    ::usleep(static_cast<useconds_t>(philox({.seed = 7}, kill_number)[0] % spread));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself";
    ::close(ends[0]);
    ::close(ends[1]);
    const UsableSnapshot usable = find_usable(run.path());
    ASSERT_TRUE(usable.found);
    EXPECT_TRUE(usable.rejected.empty()) << usable.rejected[0];
    EXPECT_GE(usable.found->step, newest) << "a published snapshot was lost";
    EXPECT_EQ(read_tiny_snapshot(usable.found->path), static_cast<float>(usable.found->step));
    newest = usable.found->step;
  }
}

TEST(RunLock, SecondRunIsToldWhoHoldsIt) {
  const TemporaryFolder run;
  std::optional<RunLock> lock(std::in_place, run.path());
  expect_error(Exit::usage, {run.path(), say("process ", ::getpid(), " on host "), " since 20"},
               [&] { RunLock second(run.path()); });
  lock.reset();
  RunLock third(run.path());
  expect_error(Exit::failure, {"/none/run.lock"}, [&] { RunLock none(run / "none"); });
}

}  // namespace
}  // namespace hinoki::publication_test
