#include "train/rewind.h"

#include <algorithm>

#include "core/base/log.h"

namespace hinoki {

Retention retention(const RunConfig& config) {
  Retention rule{.keep_last = config.log.keep_last, .keep_every = config.log.keep_every};
  if (!config.guard.rewinds()) return rule;
  rule.reach = config.guard.rewind_steps - 1;  // the step after the newest snapshot may be a bad one
  rule.cadence = config.log.snapshot_every;
  return rule;
}

SnapshotPath find_rewind(const RunConfig& config, const RunState& bad, const std::string& what) {
  const GuardConfig& guard = config.guard;
  require<Exit::numerical>(bad.rewinds_in_a_row < guard.most_in_a_row, what, ", and ", bad.rewinds_in_a_row,
                           " rewinds before it have not led past such steps (guard.most_in_a_row); a lower learning "
                           "rate, a smaller optimizer.clip or a larger guard.rewind_steps may help");
  const int64_t latest = bad.step + 1 - guard.rewind_steps;
  const auto find = [&](int64_t from, int64_t to) {
    UsableSnapshot usable = find_usable(config.run + "/snapshots", [&](int64_t step) {
      return step >= from && step <= to && step % config.log.snapshot_every == 0;
    });
    for (const std::string& line : usable.rejected) warn("rejected a snapshot: ", line);
    return usable.found;
  };
  auto found = find(0, latest);
  if (!found && bad.rewinds_in_a_row > 0) found = find(bad.rewound_to, bad.rewound_to);
  require<Exit::numerical>(found.has_value(), what, "; guard.rewind_steps = ", guard.rewind_steps,
                           " asks for a snapshot of step ", latest, " or before, and ",
                           latest < 0 ? "the run is younger than that" : "none is there that verifies",
                           " (log.snapshot_every is ", config.log.snapshot_every, ")");
  return *found;
}

void remove_snapshots_after(const std::string& snapshots, int64_t step) {
  std::vector<SnapshotPath> all = list_snapshots(snapshots);
  std::reverse(all.begin(), all.end());
  for (const SnapshotPath& snapshot : all)
    if (snapshot.step > step) remove_snapshot(snapshot);
}

RunState rewound(const GuardConfig& guard, const RunState& bad, RunState loaded) {
  const int64_t bad_batch = bad.step + bad.data_shift;
  loaded.data_shift = bad_batch + guard.skip_batches - loaded.step;
  loaded.rewinds_in_a_row = bad.rewinds_in_a_row + 1;
  loaded.rewound_from = bad.step + 1;
  loaded.rewound_to = loaded.step;
  return loaded;
}

void remember_progress(const GuardConfig& guard, RunState& state) {
  if (state.step + 1 >= state.rewound_from + guard.rewind_steps) state.rewinds_in_a_row = 0;
}

}  // namespace hinoki
