// Gets the GPU ready before the first test of a CUDA build, and watches which CUDA kernels the tests have run.
//   HINOKI_REQUIRE_GPU=1          no GPU (or emulator) is a failure; otherwise what needs one does not run there
//   HINOKI_KERNEL_COVERAGE=FILE   kernels that are there and kernels that were run are added to FILE, for
//                                 scripts/kernel_coverage.sh to compare when all processes are done
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/base/backend.h"
#include "core/base/device.h"
#include "kernels/kernel.h"

namespace hinoki::test {
namespace {

bool asked_for(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && std::string(value) == "1";
}

class CudaEnvironment : public testing::Environment {
  void SetUp() override {
#ifdef HINOKI_NATIVE_CUDA
    if (const std::string why = why_no_cuda(); !why.empty()) std::cerr << why << "\n";
#endif
    ASSERT_TRUE(has_device(Device::cuda) || !asked_for("HINOKI_REQUIRE_GPU")) << why_no_cuda();
  }

  void TearDown() override {
    const char* path = std::getenv("HINOKI_KERNEL_COVERAGE");
    if (path == nullptr) return;
    std::ostringstream lines;
    int number = 0;  // kernels of one name may be several; their order is that of the link
    for (const kernels::KernelRecord* k = kernels::all_kernels; k != nullptr; k = k->next, ++number) {
      if (k->on_cuda) lines << "filled " << number << " " << k->name << "\n";
      if (k->has_run_on_cuda) lines << "ran " << number << " " << k->name << "\n";
    }
    std::ofstream(path, std::ios::app) << lines.str();
  }
};

const auto* const environment = testing::AddGlobalTestEnvironment(new CudaEnvironment);

}  // namespace
}  // namespace hinoki::test
