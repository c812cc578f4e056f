// Which algorithm the device's library chose for each kind of product (kernels/gemm.h). It decides a run's bits as the
// seed does, and is the first thing to look at where a step is slow; so it stands in log.txt, but not on the terminal.
#pragma once
#include <set>
#include <string>

namespace hinoki {

class ProductPlans {
 public:
  // Writes the plans that were made since the last call.
  void record();
  // After each step: its plans are made by the first.
  void record_first() {
    if (recorded_.empty()) record();
  }

 private:
  std::set<std::string> recorded_;
};

}  // namespace hinoki
