// Saving beside training: what is saved is the moment it was asked for, and what goes wrong is said.
#include "train/snapshot_writer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <latch>
#include <thread>

#include "core/base/log.h"
#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/quiet_test.h"
#include "tests/support/tiny_run.h"
#include "train/run.h"

namespace hinoki::snapshot_writer_test {
namespace {

class SnapshotWriterTest : public test::QuietTest<> {
 protected:
  static std::string weights_of(const std::string& snapshot) {
    return bytes_of_file(snapshot + "/model.safetensors") + bytes_of_file(snapshot + "/state/optimizer.safetensors");
  }
  static std::vector<std::string> names_in(const std::string& run) { return list_directory(run + "/snapshots"); }

  test::TinyRun tiny_;
};

TEST_F(SnapshotWriterTest, KeepsTheMomentItWasAskedForWhileTrainingGoesOn) {
  hinoki::Run still(tiny_.in("still")), going(tiny_.in("going"));
  still.step(), going.step();
  const std::string expected = weights_of(still.save());
  std::latch may_publish(1);
  going.start_saving([&] { may_publish.wait(); });
  going.step(), going.step();
  EXPECT_TRUE(list_snapshots(going.snapshots()).empty());
  EXPECT_FALSE(going.saved());
  may_publish.count_down();
  going.finish_saving();
  const auto saved = going.saved();
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->path, going.snapshots() + "/step-00000001");
  EXPECT_GE(saved->blocked, 0);
  EXPECT_FALSE(going.saved()) << "each is told once";
  EXPECT_TRUE(verify_snapshot(saved->path).empty());
  EXPECT_TRUE(weights_of(saved->path) == expected);
  EXPECT_EQ(read_manifest(saved->path)["facts"]["step"], 1);
}

TEST_F(SnapshotWriterTest, TheNextSaveWaitsAndSaysSo) {
  hinoki::Run run(tiny_.config);
  run.start_saving([] { std::this_thread::sleep_for(std::chrono::milliseconds(1100)); });
  run.step();
  set_quiet(false);
  testing::internal::CaptureStderr();
  const double blocked = run.start_saving();
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_GT(blocked, 1.0);
  EXPECT_NE(said.find("for the snapshot of step 0 to be written"), said.npos) << said;
  run.finish_saving();
  EXPECT_EQ(list_snapshots(run.snapshots()).size(), 2u);
}

// What the manifest says was hashed on the way to the disk: reading the files again must say the same.
TEST_F(SnapshotWriterTest, DescribesWhatItMeantToWrite) {
  hinoki::Run run(tiny_.config);
  run.step();
  const std::string path = run.save();
  const Json before = read_manifest(path);
  write_manifest(path, before["facts"]);
  EXPECT_EQ(read_manifest(path), before);
}

// What a snapshot says beside its tensors. Its model's files matter here only for being there.
SnapshotTexts texts_of(const GptConfig& config) {
  return {.config = config, .printed = print_config(config), .write_model = [](const std::string& folder) {
            write_file_durably(folder + "/config.json", "{}");
          }};
}

SnapshotPiece slice(const SnapshotPiece& p, int64_t begin, int64_t end) {
  return {p.tensor, begin, p.values.view({p.values.numel()}).narrow(0, begin, end - begin)};
}

// Rank 0 has all weights and the first third of each moment, rank 1 the second, rank 2 the rest.
TEST_F(SnapshotWriterTest, RanksWriteTheSnapshotOfOneAlone) {
  hinoki::Run run(tiny_.config);
  run.step();
  const SnapshotPieces all = snapshot_pieces(run.parameters(), run.optimizer());
  const GptConfig config = tiny_.in("run");
  const RunState state{.step = 7, .targets = 8};
  SnapshotWriter alone(texts_of(config), run.parameters());
  alone.save({.state = state}, all);
  alone.wait();
  const std::string path = alone.finished()->path, expected = weights_of(path);
  const Json manifest = read_manifest(path);

  std::vector<std::unique_ptr<SnapshotWriter>> ranks;
  for (int rank = 0; rank < 3; ++rank)
    ranks.push_back(std::make_unique<SnapshotWriter>(texts_of(config), run.parameters()));
  for (int round = 0; round < 2; ++round) {
    const std::string folder = ranks[0]->open({.state = state});
    for (int rank = 2; rank >= 0; --rank) {
      SnapshotPieces mine;
      if (rank == 0) mine.weights = all.weights;
      for (const SnapshotPiece& p : all.training)
        mine.training.push_back(slice(p, p.values.numel() * rank / 3, p.values.numel() * (rank + 1) / 3));
      ranks[size_t(rank)]->write(folder, mine);
    }
    for (const auto& rank : ranks) {
      rank->wait();
      EXPECT_TRUE(rank->part_done());
    }
    EXPECT_EQ(weights_of(path), expected) << "the one before stays until it is replaced";
    ranks[0]->publish();
    ranks[0]->wait();
    EXPECT_EQ(ranks[0]->finished()->path, path);
    EXPECT_EQ(read_manifest(path), manifest);
    EXPECT_TRUE(verify_snapshot(path).empty());
    EXPECT_EQ(names_in(config.run).size(), 1u);
  }
  ranks[0]->open({.state = state});
  EXPECT_ERROR(ranks[0]->open({.state = state}), Exit::failure, "of step 7 was never published");
  ranks.clear();
  EXPECT_EQ(names_in(config.run).size(), 1u) << "what was not published is gone";
}

TEST_F(SnapshotWriterTest, HolesAreRefused) {
  hinoki::Run run(tiny_.config);
  SnapshotPieces pieces = snapshot_pieces(run.parameters(), run.optimizer());
  pieces.training.pop_back();
  SnapshotWriter writer(texts_of(tiny_.config), run.parameters());
  EXPECT_ERROR(writer.save({.state = {}}, pieces), Exit::failure, "leave holes");
  EXPECT_TRUE(names_in(tiny_.config.run).empty());
  run.save();
}

// How many system calls a save makes that change the disk.
int64_t calls_of_a_save(hinoki::Run& run) {
  const FaultyDisk counting;
  std::filesystem::remove_all(run.save());
  return FaultyDisk::calls();
}

TEST_F(SnapshotWriterTest, AnErrorOfAnyCallIsSaidAndLosesNothing) {
  hinoki::Run run(tiny_.config);
  const std::string before = run.save();
  run.step();
  const int64_t calls = calls_of_a_save(run);
  EXPECT_GT(calls, 50);
  int64_t in_the_thread = 0, told = 0;
  for (int64_t at = 0; at < calls; ++at) {
    bool started = false, failed = false;
    {
      const FaultyDisk faulty({.at = at, .error = ENOSPC, .half = true});
      try {
        run.start_saving();
        started = true;
        run.finish_saving();
      } catch (const Error& e) {
        failed = true;
        ++told;
        in_the_thread += started;
        EXPECT_EQ(e.code, Exit::failure);
        EXPECT_NE(std::string(e.what()).find("bytes free there"), std::string::npos) << e.what();
      }
    }
    EXPECT_TRUE(failed || is_directory(run.snapshots() + "/step-00000001")) << "call " << at;
    EXPECT_TRUE(verify_snapshot(before).empty()) << "call " << at;
    for (const std::string& name : names_in(tiny_.config.run))
      EXPECT_EQ(name.find("tmp"), name.npos) << name << " is left after call " << at;
    std::filesystem::remove_all(run.snapshots() + "/step-00000001");
  }
  EXPECT_GT(in_the_thread, calls / 2);
  std::printf("failing calls: each of %lld calls of a save has failed once, errors told %lld, snapshots lost: %s\n",
              (long long)calls, (long long)told, testing::Test::HasFailure() ? "SOME" : "0");
  EXPECT_TRUE(verify_snapshot(run.save()).empty()) << "and the next save is as any";
}

TEST_F(SnapshotWriterTest, AnErrorOfTheThreadComesOutOfAStepAfterIt) {
  hinoki::Run run(tiny_.config);
  run.step();
  const int64_t calls = calls_of_a_save(run);
  const FaultyDisk faulty({.at = calls / 2, .error = EIO});
  run.start_saving();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto go_on = [&] {
    while (std::chrono::steady_clock::now() < give_up) run.step();
  };
  EXPECT_ERROR(go_on(), Exit::failure, "the disk or the file server reports a fault");
  run.step();
}

}  // namespace
}  // namespace hinoki::snapshot_writer_test
