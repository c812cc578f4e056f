// How each rank of a run ended, for launchers: mpirun and its kin hide exit codes. RUN/status/rank-N.json:
//
//   {"exit": 6, "step": 120, "message": "step 121: no answer from rank 3 (node7) within 300 s, ..."}
#pragma once
#include <string>

#include "core/base/check.h"

namespace hinoki {

class RankStatus {
 public:
  // Removes what an earlier start has left.
  RankStatus(const std::string& run, int rank);
  // Never throws: the reason to end is worth more than the file that tells it.
  void write(Exit code, int64_t step, const std::string& message) const noexcept;

 private:
  std::string path_;
};

}  // namespace hinoki
