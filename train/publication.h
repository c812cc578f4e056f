// Snapshots appear whole or not at all. A step is written as snapshots/step-00000020.tmp-PID, flushed file by file,
// described by a manifest, flushed, and only then renamed to step-00000020. Nothing published is changed afterwards; no
// pointer file says which is newest: whoever resumes looks, verifies, and falls back.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "train/manifest.h"
#include "train/run_lock.h"

namespace hinoki {

class Publication {
 public:
  // Creates the temporary folder, empty. `snapshots` is the folder of all snapshots of a run.
  Publication(const std::string& snapshots, int64_t step);
  ~Publication();  // removes what was not published
  Publication(const Publication&) = delete;

  const std::string& folder() const { return temporary_; }  // write the files here
  // Flushes, describes, renames. Returns the snapshot's path. One of the same step (that a resume had rejected) is
  // replaced in one move. `known`: what was written into some of the files, which are then not read again.
  std::string publish(const Json& facts, const KnownFiles& known = {});

 private:
  std::string snapshots_, temporary_, final_;
};

struct SnapshotPath {
  int64_t step;
  std::string path;
};

std::vector<SnapshotPath> list_snapshots(const std::string& snapshots);  // oldest first; none if there is no folder

struct UsableSnapshot {
  std::optional<SnapshotPath> found;  // the newest that verifies
  std::vector<std::string> rejected;  // a line for each newer one, with its first damage
};
// `wanted`: of such steps only, if given.
UsableSnapshot find_usable(const std::string& snapshots, const std::function<bool(int64_t step)>& wanted = {});

struct Retention {
  int64_t keep_last = 3;   // the newest ones, at least one
  int64_t keep_every = 0;  // and those of steps that are multiples; 0: none
  // And all from the newest on that is a multiple of `cadence` and `reach` steps older than the newest; -1: none.
  int64_t reach = -1, cadence = 1;
};
// Which snapshots the rule gives up. The newest that verifies is never among them; `trusted` is one that the caller has
// just published, which saves reading it again.
std::vector<SnapshotPath> to_prune(const std::string& snapshots, Retention rule, const std::string& trusted = "");
void remove_snapshot(const SnapshotPath& snapshot);  // first out of sight, then file by file

// Removes what dead writers have left. Whoever holds the run's lock and has not begun to write knows that all are dead.
void remove_leftovers(const std::string& snapshots, const RunLock& lock);

}  // namespace hinoki
