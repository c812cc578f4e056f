#include "train/publication.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "core/base/check.h"
#include "core/base/file.h"

namespace hinoki {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".tmp-";

std::string name_of_step(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

std::optional<int64_t> step_in_name(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string digits = name.substr(kPrefix.size());
  if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoll(digits);
}

void sync_tree(const std::string& folder) {
  for (const std::string& name : list_directory(folder)) {
    const std::string path = folder + "/" + name;
    is_directory(path) ? sync_tree(path) : sync_file(path);
  }
  fsync_directory(folder);
}

}  // namespace

Publication::Publication(const std::string& snapshots, int64_t step)
    : snapshots_(snapshots),
      temporary_(say(snapshots, "/", name_of_step(step), kPartial, ::getpid())),
      final_(snapshots + "/" + name_of_step(step)) {
  require(step >= 0, "a snapshot of step ", step);
  remove_tree(temporary_);
  make_directory(temporary_);
}

Publication::~Publication() {
  if (temporary_.empty()) return;
  try {
    remove_tree(temporary_);
  } catch (const Error&) {  // the next start removes it
  }
}

std::string Publication::publish(const Json& facts, const KnownFiles& known) {
  sync_tree(temporary_);
  write_manifest(temporary_, facts, known);
  fsync_directory(temporary_);
  fsync_directory(parent_of(snapshots_));  // the folder of snapshots may be new, or its maker have died before this
  const bool replaced = swap_paths(temporary_, final_);
  const std::string old = std::exchange(temporary_, "");
  fsync_directory(snapshots_);
  if (replaced) remove_tree(old);
  return final_;
}

std::vector<SnapshotPath> list_snapshots(const std::string& snapshots) {
  std::vector<SnapshotPath> found;
  if (!is_directory(snapshots)) return found;
  for (const std::string& name : list_directory(snapshots))
    if (const auto step = step_in_name(name); step && is_directory(snapshots + "/" + name))
      found.push_back({*step, snapshots + "/" + name});
  std::sort(found.begin(), found.end(), [](const SnapshotPath& a, const SnapshotPath& b) { return a.step < b.step; });
  return found;
}

UsableSnapshot find_usable(const std::string& snapshots, const std::function<bool(int64_t step)>& wanted) {
  UsableSnapshot result;
  std::vector<SnapshotPath> all = list_snapshots(snapshots);
  std::reverse(all.begin(), all.end());
  for (SnapshotPath& snapshot : all) {
    if (wanted && !wanted(snapshot.step)) continue;
    const std::vector<std::string> damage = verify_snapshot(snapshot.path);
    if (damage.empty()) {
      result.found = std::move(snapshot);
      break;
    }
    result.rejected.push_back(snapshot.path + " cannot be used: " + damage[0]);
  }
  return result;
}

std::vector<SnapshotPath> to_prune(const std::string& snapshots, Retention rule, const std::string& trusted) {
  require<Exit::usage>(rule.keep_last >= 1 && rule.keep_every >= 0,
                       "keep_last must be at least 1 and keep_every at least 0");
  const std::vector<SnapshotPath> all = list_snapshots(snapshots);
  int64_t reached = -1;
  for (const SnapshotPath& s : all)
    if (s.step % rule.cadence == 0 && s.step <= all.back().step - rule.reach) reached = s.step;
  const auto keeps = [&](size_t i) {
    return static_cast<int64_t>(all.size() - i) <= rule.keep_last ||
           (rule.keep_every > 0 && all[i].step % rule.keep_every == 0) || (rule.reach >= 0 && all[i].step >= reached);
  };
  std::vector<SnapshotPath> given_up;
  for (size_t i = 0; i < all.size(); ++i)
    if (!keeps(i)) given_up.push_back(all[i]);
  if (given_up.empty()) return {};
  for (size_t i = all.size(); i-- > 0;) {
    if (all[i].path != trusted && !verify_snapshot(all[i].path).empty()) continue;
    std::erase_if(given_up, [&](const SnapshotPath& snapshot) { return snapshot.step == all[i].step; });
    return given_up;
  }
  return {};  // none verifies: nothing is safe to give up
}

void remove_snapshot(const SnapshotPath& snapshot) {
  const std::string trash = say(snapshot.path, kPartial, ::getpid(), ".trash");
  remove_tree(trash);
  rename_path(snapshot.path, trash);
  fsync_directory(parent_of(snapshot.path));  // else a power cut may bring back the name of what is half removed
  remove_tree(trash);
}

void remove_leftovers(const std::string& snapshots, const RunLock&) {
  if (!is_directory(snapshots)) return;
  for (const std::string& name : list_directory(snapshots))
    if (name.starts_with(kPrefix) && name.find(kPartial) != std::string::npos) remove_tree(snapshots + "/" + name);
}

}  // namespace hinoki
