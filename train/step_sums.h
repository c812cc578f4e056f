// What ranks tell each other once a step, beside the gradients themselves.
#pragma once
#include "train/communicator.h"
#include "train/shards.h"

namespace hinoki {

struct StepSums {
  double loss = 0;  // of this rank's slots, added as a tree
  int64_t targets = 0;
  int64_t stop = 0;                 // the signal that asked this rank to stop, or 0; of all: the largest
  int64_t warned = 0;               // ranks that have something to tell
  double busy = 0;                  // seconds this rank worked before it waited for others
  int64_t parts_done = 0;           // ranks that have written their part of the snapshot under way
  std::vector<double> busy_of = {};      // of all: each rank's
  std::vector<double> chunk_norms;  // sums of squares of the gradient's chunks: of this rank's parts, or of all
};

// One exchange. The same bits at every rank and on any number of ranks: losses are added as a tree over the slots, and
// the chunks' figures stand in the order of the flat buffer.
StepSums sum_over_ranks(Communicator& ranks, const Shards& shards, const StepSums& mine);

}  // namespace hinoki
