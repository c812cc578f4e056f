// Going back from a bad step, to a snapshot well before it, and on with other data: guard.policy = "rewind".
//
// Batches count from 0, so step 24 takes batch 23 as long as none was left out. If it is bad, guard.rewind_steps = 4
// asks for the snapshot of step 20 or one before, and guard.skip_batches = 2 for batch 23 and the one after it to be
// left out, with all since the snapshot: step 21 takes batch 25 then.
//
// The newer snapshots are removed, the newest before the others, and only then the run goes on. Whenever it is killed,
// it resumes before the bad step from a snapshot that knows nothing of the rewind, comes to the bad step again and does
// the same. So only snapshots that log.snapshot_every asks for are gone back to: others are where a stop happened to
// fall.
#pragma once
#include "train/publication.h"
#include "train/snapshot.h"

namespace hinoki {

// What a run keeps of its snapshots, with those that a rewind may need.
Retention retention(const RunConfig& config);

// Where to go from `bad`, whose next step is bad: the newest snapshot that verifies and is old enough; or, if none is,
// the one that this row of rewinds went back to last. Exit::numerical if there is none, or the row has become too long;
// `what` was bad. Nothing is changed.
SnapshotPath find_rewind(const RunConfig& config, const RunState& bad, const std::string& what);
void remove_snapshots_after(const std::string& snapshots, int64_t step);
// The state to go on with, once `loaded` is that of the snapshot.
RunState rewound(const GuardConfig& guard, const RunState& bad, RunState loaded);
// A row of rewinds ends when the run has come well past the last bad step.
void remember_progress(const GuardConfig& guard, RunState& state);

}  // namespace hinoki
