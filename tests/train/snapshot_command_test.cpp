#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "core/base/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_snapshot.h"
#include "train/commands.h"

namespace hinoki::snapshot_command_test {
namespace {

std::string run(std::vector<std::string> arguments) {
  CLI::App app;
  add_snapshot_command(app);
  std::reverse(arguments.begin(), arguments.end());
  testing::internal::CaptureStdout();
  try {
    app.parse(arguments);
  } catch (...) {
    std::fputs(testing::internal::GetCapturedStdout().c_str(), stdout);
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

TEST(SnapshotCommand, ListsVerifiesAndPrunes) {
  const TemporaryFolder folder;
  const std::string snapshots = folder / "snapshots";
  expect_error(Exit::snapshot, {folder.path(), "holds no snapshots"}, [&] { run({"snapshot", "ls", folder.path()}); });
  for (const int64_t step : {10, 20, 30, 40}) publish_tiny_snapshot(snapshots, step);
  std::filesystem::create_directory(snapshots + "/step-00000050.tmp-1");
  EXPECT_NE(run({"snapshot", "ls", folder.path()}).find("40          0.0  " + snapshots + "/step-00000040\n"),
            std::string::npos);
  EXPECT_NE(run({"snapshot", "verify", folder.path()}).find("step-00000010: whole\n"), std::string::npos);
  FileWriter::open(snapshots + "/step-00000040/config.json").pwrite(bytes_of("x"), 0);
  expect_error(Exit::snapshot, {"1 of 4 snapshots are damaged"}, [&] { run({"snapshot", "verify", snapshots}); });
  expect_error(Exit::snapshot, {"1 of 1 snapshots"}, [&] {
    run({"snapshot", "verify", snapshots + "/step-00000040"});
  });
  EXPECT_EQ(run({"snapshot", "verify", snapshots + "/step-00000030"}), snapshots + "/step-00000030: whole\n");

  const std::vector<std::string> prune = {"snapshot", "prune", folder.path(), "--keep-last", "1", "--keep-every", "20"};
  std::vector<std::string> dry = prune;
  dry.push_back("--dry-run");
  EXPECT_EQ(run(dry), "would remove " + snapshots + "/step-00000010\n1 of 4 snapshots given up\n");
  EXPECT_EQ(list_snapshots(snapshots).size(), 4u);
  EXPECT_EQ(run(prune), "removing " + snapshots + "/step-00000010\n1 of 4 snapshots given up\n");
  EXPECT_EQ(list_directory(snapshots),  // 40 by the rules, 30 as the newest whole one; the dead writer's folder is gone
            (std::vector<std::string>{"step-00000020", "step-00000030", "step-00000040"}));
  const RunLock lock(folder.path());
  expect_error(Exit::usage, {"is in use by process"}, [&] { run(prune); });
  expect_error(Exit::usage, {"is in use by process"}, [&] { run({"snapshot", "prune", snapshots}); });
  expect_error(Exit::usage, {"is not a folder"}, [&] { run({"snapshot", "ls", folder / "none"}); });
}

}  // namespace
}  // namespace hinoki::snapshot_command_test
