// How far the clock of a rank is ahead of rank 0's. Nobody leaves a barrier before everybody has entered it, so for two
// ranks of one barrier, in true time,
//
//   entered_0 <= left_r   and   entered_r <= left_0,   that is   entered_r - left_0 <= ahead <= left_r - entered_0
//
// Every barrier narrows these bounds, most of all one that nobody had to wait in. The estimate is their middle, and it
// is wrong by half their distance at the most, whatever the network does. That clocks run at different speeds is left
// out: some 10 us in a second.
#pragma once
#include <span>

#include "train/communicator.h"

namespace hinoki {

struct BarrierVisit {
  int64_t entered, left;  // nanoseconds of the rank's own clock
};

struct ClockOffset {
  int64_t ahead = 0, error = 0;  // nanoseconds
};

// Of the clock of `mine`, from visits of the same barriers.
ClockOffset clock_offset(std::span<const BarrierVisit> mine, std::span<const BarrierVisit> of_first);
// Of this rank's Timeline::now(), by some barriers of all ranks.
ClockOffset clock_offset(Communicator& ranks);

}  // namespace hinoki
