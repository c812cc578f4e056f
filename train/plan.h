// What a run will need, from arithmetic alone.
#pragma once
#include <string>

#include "models/scope.h"
#include "train/run_config.h"

namespace hinoki {

struct Plan {
  int64_t parameters = 0;                                                            // elements that learn
  int64_t frozen = 0, frozen_bytes = 0;                                              // of the base of adapters
  int64_t weight_bytes = 0, master_bytes = 0, gradient_bytes = 0, moment_bytes = 0;  // flat buffers, padding included
  int64_t reduction_bytes = 0;   // sums of slots that wait for others, and what other ranks send
  int64_t activation_bytes = 0;  // what the backward pass of one micro-batch keeps, and its largest temporaries
  int64_t snapshot_bytes = 0;    // the copy that is written while training goes on, in the machine's own memory
  int64_t total() const {
    return frozen_bytes + weight_bytes + master_bytes + gradient_bytes + moment_bytes + reduction_bytes + activation_bytes;
  }
  int64_t total(Device device) const { return total() + (device == Device::cpu ? snapshot_bytes : 0); }
};

// All but the activations, for one rank alone.
Plan plan_buffers(const Parameters& parameters);

class Recipe;
// Of one rank among `ranks`.
Plan make_plan(const Recipe& recipe, int ranks = 1);
// The lines of `hinoki plan`. `epoch`: what the training data holds, in units of the recipe's throughput; 0: unknown.
std::string print_plan(const Recipe& recipe, double epoch, int ranks = 1);
// For a run that memory is too short for: its plan, and what would need how much less.
std::string print_shortage(const Recipe& recipe);

}  // namespace hinoki
