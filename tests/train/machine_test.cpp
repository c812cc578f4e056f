// The peak that shares are taken of: the largest ever measured, never below what a run reached.
#include "train/machine.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/parallel.h"
#include "tests/support/temporary_folder.h"
#include "train/progress.h"

namespace hinoki::test {
namespace {

// Points the cache at a folder of its own, in which this machine is known with a peak.
class MachineTest : public ::testing::Test {
 protected:
  MachineTest() { setenv("XDG_CACHE_HOME", folder_.path().c_str(), 1); }
  ~MachineTest() override {
    before_.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", before_.c_str(), 1);
  }

  static std::string key() {
    return say(cpu_name(), ", ", name_of(active_target()), ", ", pool().threads(), " threads");
  }
  void remember(double peak) {
    const Json figures = {{key(), {{"fma_gflops", peak}, {"copy_gbs", 3.0}}}};
    folder_.write("hinoki/machine.json", figures.dump());
  }
  double remembered() {
    const std::string path = folder_.path().string() + "/hinoki/machine.json";
    return parse_json(read_file(path, 1 << 20), path)[key()]["fma_gflops"].get<double>();
  }

  TemporaryFolder folder_;
  const std::string before_ = std::getenv("XDG_CACHE_HOME") ? std::getenv("XDG_CACHE_HOME") : "";
};

TEST_F(MachineTest, PeakMeasuredUnderLoadDoesNotStay) {
  remember(1e-6);
  const double peak = machine_figures().fma_gflops;
  EXPECT_GT(peak, 1e-3);
  EXPECT_EQ(remembered(), peak);
}

TEST_F(MachineTest, LargestPeakIsKept) {
  remember(1e9);  // more than any machine has: as if measured in a quieter moment
  EXPECT_EQ(machine_figures().fma_gflops, 1e9);
  EXPECT_EQ(raise_fma_peak(), 1e9);
  EXPECT_EQ(remembered(), 1e9);
}

TEST_F(MachineTest, ShareOfPeakNeverExceedsOne) {
  remember(1e-6);
  const double peak = raise_fma_peak();
  Progress ordinary(10, 100, {.step = 1000, .flops = 1e6}, 1e-6);  // known to be far too low; 1 GFLOP/s is reached
  ordinary.step({.step = 2, .seconds = 1});
  EXPECT_GT(ordinary.share_of_peak(), 0);
  EXPECT_LE(ordinary.share_of_peak(), 1);
  Progress beyond(10, 100, {.step = 1e12, .flops = 1e6}, peak);  // faster than any measurement explains
  beyond.step({.step = 2, .seconds = 1});
  EXPECT_LE(beyond.share_of_peak(), 1);
}

}  // namespace
}  // namespace hinoki::test
