// Disks that are full in the middle of a save: a message with path and space, the snapshots before intact, and training
// goes on from them once there is room, to the same bits.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <csignal>

#include "tests/end_to_end/tiny_program.h"
#include "train/publication.h"

namespace hinoki::disk_test {
namespace {

using test::expect_outcome;

constexpr const char* kSnapshots = "log.snapshot_every=5";

struct Disk {
  test::TinyProgram p;
  std::string whole;  // the undisturbed run's weights and moments

  Disk() {
    expect_outcome(0, {}, {"train", p.config("whole"), kSnapshots});
    whole = test::weights_of(p.newest_snapshot(p.path("whole")));
  }

  void expect_recovers(const std::string& config, const std::string& run, size_t saved) {
    const auto all = list_snapshots(run + "/snapshots");
    EXPECT_EQ(all.size(), saved);
    for (const std::string& name : test::names_in(run + "/snapshots")) EXPECT_EQ(name.find("tmp"), name.npos) << name;
    expect_outcome(0, {all.back().path + ": whole"}, {"snapshot", "verify", run});
    expect_outcome(0, {"resumed from " + all.back().path}, {"train", config, kSnapshots});
    EXPECT_TRUE(test::weights_of(p.newest_snapshot(run)) == whole);
    EXPECT_EQ(test::losses_in(run), test::losses_in(p.path("whole")));
  }
};

// No file may grow past 200 KB: the weights (167 KB) still fit, the moments (334 KB) do not.
TEST(FullDisk, AFileThatMayNotGrowLosesNothing) {
  Disk d;
  const std::string config = d.p.config("run"), run = d.p.path("run");
  expect_outcome(0, {}, {"train", config, "train.steps=5", "learning_rate.decay_steps=20"});
  const test::Surroundings small{.largest_file = 200'000};
  expect_outcome(1,
                 {"cannot", run + "/snapshots/step-00000010.tmp-", "/state/optimizer.safetensors", "File too large",
                  "ulimit -f", "bytes free there"},
                 {"train", config, kSnapshots, "learning_rate.decay_steps=20"}, small);
  const auto all = list_snapshots(run + "/snapshots");
  ASSERT_EQ(all.size(), 1u);
  expect_outcome(0, {all[0].path + ": whole"}, {"snapshot", "verify", run});
  d.expect_recovers(config, run, 1);
}

// A file system with room for two snapshots of three; only root may mount one.
TEST(FullDisk, AFileSystemThatIsFullLosesNothing) {
  Disk d;
  const std::string config = d.p.config("small/run"), run = d.p.path("small/run"), place = d.p.path("small");
  const std::string kept = bytes_of_file(config);
  if (mount("tmpfs", place.c_str(), "tmpfs", 0, "size=2m") != 0) {
    EXPECT_NE(geteuid(), 0u) << "root cannot mount: " << std::strerror(errno);
    return;
  }
  const auto unmount = [](const std::string* folder) { umount2(folder->c_str(), MNT_DETACH); };
  const std::unique_ptr<const std::string, decltype(unmount)> mounted(&place, unmount);
  d.p.tiny.folder.write("small/run.toml", kept);
  expect_outcome(1,
                 {"cannot write", run + "/snapshots/step-000000", "No space left on device", "bytes free there",
                  "free some space or choose another folder"},
                 {"train", config, kSnapshots, "log.keep_last=9"});
  const size_t saved = list_snapshots(run + "/snapshots").size();
  EXPECT_GE(saved, 1u);
  ASSERT_EQ(mount("tmpfs", place.c_str(), "tmpfs", MS_REMOUNT, "size=32m"), 0);
  d.expect_recovers(config, run, saved);
}

// Its folder of snapshots may not be written in any more: said with the folder and what to do, and a run that stops
// there goes on once it may.
TEST(ReadOnlyFolder, OfSnapshotsLosesNothing) {
  Disk d;
  const std::string config = d.p.config("run"), run = d.p.path("run"), snapshots = run + "/snapshots";
  expect_outcome(0, {}, {"train", config, "train.steps=5", "learning_rate.decay_steps=20"});
  const auto allow = [&](unsigned folder, unsigned file) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(run))
      std::filesystem::permissions(entry, std::filesystem::perms(entry.is_directory() ? 0777 : file));
    std::filesystem::permissions(run, std::filesystem::perms(0777));
    std::filesystem::permissions(snapshots, std::filesystem::perms(folder));
  };
  allow(0555, 0666);
  const test::Surroundings user{.unprivileged = true};
  expect_outcome(1,
                 {"cannot create the folder " + snapshots + "/step-00000010.tmp-", "Permission denied",
                  "make the folder writable or choose another one"},
                 {"train", config, kSnapshots}, user);
  allow(0777, 0666);
  d.expect_recovers(config, run, 1);
}

TEST(FullDisk, OfDataAndTokenizersAndExports) {
  test::TinyProgram p;
  const std::string snapshot = p.newest_snapshot(p.trained());
  const test::Surroundings small{.largest_file = 20'000};
  const std::string input = p.tiny.folder.write("in.txt", test::numbered_lines(3000)).string();
  const std::vector<std::string> prepare = {"data",     "text",        "--input",     input,
                                            "--output", p.path("out"), "--tokenizer", p.path("spiece.model")};
  expect_outcome(1, {p.path("out") + "/", ".h5.tmp", "File too large"}, prepare, small);
  EXPECT_FALSE(std::filesystem::exists(p.path("out") + "/prepare.json"));
  expect_outcome(0, {"3000 lines"}, prepare);
  expect_outcome(1, {"cannot", "exported.tmp-", "File too large"}, {"export", snapshot, p.path("exported")}, small);
  EXPECT_FALSE(std::filesystem::exists(p.path("exported")));
  for (const std::string& name : test::names_in(p.tiny.folder.path().string()))
    EXPECT_FALSE(name.starts_with("exported")) << name;
  expect_outcome(1, {"cannot", p.path("t") + "/spiece.model", "File too large"},
                 {"tokenizer", "train", "--input", input, "--output", p.path("t"), "--vocabulary-size", "400"},
                 {.largest_file = 1000});
}

}  // namespace
}  // namespace hinoki::disk_test
