// Gets the GPU ready before the first test of a CUDA build, and watches which CUDA kernels the tests have run.
//   HINOKI_REQUIRE_GPU=1       no GPU (or emulator) is a failure; otherwise what needs one does not run there
//   HINOKI_KERNEL_COVERAGE=1   a CUDA kernel that no test of this process has run is a failure
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

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
    if (!asked_for("HINOKI_KERNEL_COVERAGE")) return;
    for (const kernels::KernelRecord* k = kernels::all_kernels; k != nullptr; k = k->next)
      EXPECT_TRUE(k->has_run_on_cuda || !k->on_cuda) << "no test has run the CUDA kernel " << k->name;
  }
};

const auto* const environment = testing::AddGlobalTestEnvironment(new CudaEnvironment);

}  // namespace
}  // namespace hinoki::test
