// `hinoki train --profile START:STOP`: what the threads of all ranks do in some steps, and in what is done after each.
// RUN/profile/rank-N.json has a rank's timeline, RUN/profile/trace.json that of all; Perfetto and chrome://tracing show
// them. All times are microseconds of rank 0's clock since it began to record (train/clock_offset.h).
#pragma once
#include <optional>

#include "core/base/trace.h"
#include "train/communicator.h"

namespace hinoki {

struct StepRange {
  int64_t first = 0, last = 0;  // both among them; 0: none
};
// "START:STOP" of a run of `steps`, or "": none. Exit::usage.
StepRange parse_profile(const std::string& text, int64_t steps);

class Profile {
 public:
  // Made on the thread that trains, before what makes the other threads: they join the timeline of who starts them.
  Profile(StepRange steps, const std::string& run, Communicator& ranks);

  // Around each step with what is done after it; by all ranks.
  void begin(int64_t step);
  void end(int64_t step);
  // Writes what is recorded, if anything is: after the last step, or where a run stops before. By all ranks. A file
  // that cannot be written is a warning: the run is worth more.
  void finish();

 private:
  void write(int64_t zero, int64_t clock_error);

  StepRange steps_;
  const std::string folder_;
  Communicator& ranks_;
  std::optional<Timeline> timeline_;
  const JoinTimeline joined_;
  int64_t start_ = 0, now_ = 0;  // when it began to record, or 0; the step
};

}  // namespace hinoki
