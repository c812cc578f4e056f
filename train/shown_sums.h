// What a task adds up over the micro-batches of a step to be shown: the same bits on any number of ranks.
#pragma once
#include <vector>

#include "train/communicator.h"

namespace hinoki {

class ShownSums {
 public:
  // Of one micro-batch; every one adds as many numbers.
  void add(const std::vector<double>& values) { mine_.push_back(values); }
  // Sums over all micro-batches of all ranks, in their order. All ranks call it together.
  std::vector<double> take(Communicator& ranks);

 private:
  std::vector<std::vector<double>> mine_;
};

}  // namespace hinoki
