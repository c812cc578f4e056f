// The peak that shares are taken of: the largest ever measured, never below what a run reached.
#include "train/machine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/base/check.h"
#include "core/base/device.h"
#include "core/base/file.h"
#include "core/base/isa.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/parallel.h"
#include "core/tensor.h"
#include "tests/support/temporary_folder.h"
#include "train/device_peak.h"
#include "train/progress.h"

namespace hinoki::machine_test {
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

TEST_F(MachineTest, BestProductIsKeptBesideThePeak) {
  remember(1e9);
  EXPECT_EQ(machine_figures().gemm_gflops, 0) << "none was measured yet";
  EXPECT_EQ(remember_product(70), 70);
  EXPECT_EQ(remember_product(60), 70);
  const MachineFigures figures = machine_figures();
  EXPECT_EQ(figures.gemm_gflops, 70);
  EXPECT_EQ(figures.fma_gflops, 1e9);
  EXPECT_EQ(figures.copy_gbs, 3);
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

TEST_F(MachineTest, ProductsOfAGpuAreMeasuredOnce) {
  remember(5);
  int calls = 0;
  const auto peak = [&](const char* gpu, const char* precision, double measured) {
    return product_peak_gflops(gpu, precision, [&] { return ++calls, measured; });
  };
  EXPECT_EQ(peak("some GPU", "bf16", 0), 0) << "unknown";
  EXPECT_EQ(peak("some GPU", "bf16", 700), 700);
  EXPECT_EQ(peak("some GPU", "bf16", 800), 700);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(peak("some GPU", "f32", 50), 50);
  EXPECT_EQ(peak("another", "bf16", 300), 300);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(remembered(), 5) << "beside the CPU's";
}

// What a GPU's run shows is the GPU's: its tensors, and a share of its own peak or none.
TEST_F(MachineTest, ProgressOnAGpuSaysNothingOfTheCpu) {
  if (!has_device(Device::cuda)) return;
  remember(1e-6);
  const std::string log = (folder_.path() / "log.txt").string();
  const auto line_of = [&](Progress&& progress) {
    std::filesystem::remove(log);
    copy_log_to(log);
    progress.step({.step = 2, .seconds = 1});
    copy_log_to("");
    return read_file(log, 1 << 20);
  };
  const Tensor held = zeros({40 << 18}, DType::f32, Device::cuda), host = zeros({90 << 18}, DType::f32);  // 40, 90 MiB
  const std::string line = line_of({10, 1, {.step = 1000, .flops = 1e6}, 0, Device::cuda});
  EXPECT_NE(line.find(" | " + mebibytes(double(memory_use(Device::cuda).peak)) + " | "), std::string::npos) << line;
  EXPECT_EQ(line.find("of peak"), std::string::npos) << line;
  EXPECT_NE(memory_use(Device::cuda).peak >> 20, memory_use(Device::cpu).peak >> 20) << "or this says nothing";

  // Faster than a peak that was measured under load: the CPU is not measured for it.
  const std::string beyond = line_of({10, 1, {.step = 1000, .flops = 1e6}, 1e-6, Device::cuda});
  EXPECT_NE(beyond.find(" | 100 % of peak | "), std::string::npos) << beyond;
  EXPECT_EQ(remembered(), 1e-6);
}

TEST_F(MachineTest, AnEmulatedGpuHasNoPeak) {
  if (!has_device(Device::cuda) || !cuda_device->every_block_its_own) return;
  remember(1e9);
  RunConfig config;
  config.device = Device::cuda;
  learn_device_peak(config);
  EXPECT_EQ(device_peak_gflops(config), 0);
  config.device = Device::cpu;
  EXPECT_EQ(device_peak_gflops(config), 1e9);
}

}  // namespace
}  // namespace hinoki::machine_test
