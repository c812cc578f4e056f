// What only shows when ranks act together: clocks, the folder they share, the network between them.
#pragma once
#include <vector>

#include "train/communicator.h"
#include "train/finding.h"

namespace hinoki {

// Called by all ranks; every rank gets the same findings. What the trials have written is removed.
std::vector<Finding> try_together(Communicator& ranks, const std::string& folder);

// Seconds by which each rank's clock is ahead of rank 0's. Their error is the time that a message takes.
std::vector<double> clock_offsets(Communicator& ranks);

// Seconds of summing `count` floats of every rank, as the gradients of a bucket are; the best of three.
double time_all_reduce(Communicator& ranks, int64_t count);

Finding judge_clocks(const std::vector<double>& offsets);
Finding judge_all_reduce(double seconds, int64_t bytes);
Finding judge_round_trip(double seconds);

}  // namespace hinoki
