// hinoki snapshot ls|verify|prune: what a run has saved, whether it is whole, and what may go.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/base/check.h"
#include "core/base/file.h"
#include "train/commands.h"
#include "train/manifest.h"
#include "train/publication.h"

namespace hinoki {
namespace {

struct SnapshotArguments {
  std::string path;
  Retention rule;
  bool dry_run = false;
};

bool is_snapshot(const std::string& path) { return is_file(path + "/" + kManifestName); }

// A run folder, or its folder of snapshots.
std::string snapshots_of(const std::string& path) {
  require<Exit::usage>(is_directory(path), path, ": is not a folder; give a run folder or its snapshots folder");
  const std::string below = path + "/snapshots";
  return is_directory(below) || is_file(path + "/run.lock") ? below : path;
}

std::vector<SnapshotPath> all_below(const std::string& path) {
  std::vector<SnapshotPath> all = list_snapshots(snapshots_of(path));
  require<Exit::snapshot>(!all.empty(), path, ": holds no snapshots");
  return all;
}

void list(const SnapshotArguments& arguments) {
  const std::vector<SnapshotPath> all = all_below(arguments.path);
  std::printf("%12s %12s  %s\n", "step", "MiB", "snapshot");
  for (const SnapshotPath& snapshot : all) {
    double bytes = 0;
    for (const std::string& name : list_tree(snapshot.path))
      bytes += static_cast<double>(file_size(snapshot.path + "/" + name));
    std::printf("%12lld %12.1f  %s%s\n", static_cast<long long>(snapshot.step), bytes / (1 << 20),
                snapshot.path.c_str(), is_snapshot(snapshot.path) ? "" : "  (no manifest: cannot be used)");
  }
}

void verify(const SnapshotArguments& arguments) {
  std::vector<std::string> paths;
  if (is_snapshot(arguments.path))
    paths.push_back(arguments.path);
  else
    for (const SnapshotPath& snapshot : all_below(arguments.path)) paths.push_back(snapshot.path);
  size_t damaged = 0;
  for (const std::string& path : paths) {
    const std::vector<std::string> damage = verify_snapshot(path);
    std::printf("%s: %s\n", path.c_str(), damage.empty() ? "whole" : "DAMAGED");
    for (const std::string& line : damage) std::printf("  %s\n", line.c_str());
    damaged += !damage.empty();
  }
  require<Exit::snapshot>(damaged == 0, damaged, " of ", paths.size(),
                          " snapshots are damaged; a resume passes over them, `hinoki snapshot prune` keeps the newest "
                          "whole one");
}

void prune(const SnapshotArguments& arguments) {
  const std::string snapshots = snapshots_of(arguments.path);
  if (snapshots == arguments.path) all_below(snapshots);  // else the lock would lie beside a folder of any kind
  const RunLock lock(snapshots == arguments.path ? parent_of(snapshots) : arguments.path);
  const std::vector<SnapshotPath> given_up = to_prune(snapshots, arguments.rule);
  for (const SnapshotPath& snapshot : given_up) {
    std::printf("%s %s\n", arguments.dry_run ? "would remove" : "removing", snapshot.path.c_str());
    if (!arguments.dry_run) remove_snapshot(snapshot);
  }
  if (!arguments.dry_run) remove_leftovers(snapshots, lock);
  std::printf("%zu of %zu snapshots given up\n", given_up.size(),
              given_up.size() + list_snapshots(snapshots).size() - (arguments.dry_run ? given_up.size() : 0));
}

}  // namespace

void add_snapshot_command(CLI::App& app) {
  auto* snapshot = app.add_subcommand("snapshot", "List, verify and prune the snapshots of a run");
  snapshot->require_subcommand(1);
  const auto arguments = std::make_shared<SnapshotArguments>();
  const auto add = [&](const char* name, const char* what, void (*action)(const SnapshotArguments&),
                       const char* path = "Run folder, or its snapshots folder") {
    auto* command = snapshot->add_subcommand(name, what);
    command->add_option("path", arguments->path, path)->type_name("FOLDER")->required();
    command->callback([arguments, action] { action(*arguments); });
    return command;
  };
  add("ls", "List steps and sizes", list);
  add("verify", "Compare every byte with the manifest; name the file and tensor of each damage", verify,
      "Run folder, its snapshots folder, or one snapshot");
  auto* pruning = add("prune", "Remove old snapshots, never the newest whole one", prune);
  pruning->add_option("--keep-last", arguments->rule.keep_last, "Keep this many of the newest")->capture_default_str();
  pruning->add_option("--keep-every", arguments->rule.keep_every, "Keep those of steps that this divides, too; 0: none")
      ->capture_default_str();
  pruning->add_flag("--dry-run", arguments->dry_run, "Only say what would go");
}

}  // namespace hinoki
