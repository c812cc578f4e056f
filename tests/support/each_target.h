// Runs a test once for each instruction set that this CPU has.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/isa.h"

namespace hinoki {

class EachTarget : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override { set_target(GetParam()); }
  void TearDown() override { set_target(best_target()); }
};

inline std::vector<Target> targets_here() {
  std::vector<Target> all;
  for (const Target t : {Target::portable, Target::avx2, Target::avx512})
    if (t <= best_target()) all.push_back(t);
  return all;
}

inline std::string target_name(const testing::TestParamInfo<Target>& info) { return name_of(info.param); }

}  // namespace hinoki
