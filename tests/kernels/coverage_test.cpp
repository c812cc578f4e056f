// Which kernels a CUDA build must have: all that the CPU has, but for those that say why not.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/base/backend.h"
#include "core/base/device.h"
#include "kernels/kernel.h"

namespace hinoki::coverage_test {
namespace {

const std::map<std::string, std::string> kCpuOnly{
    {"fma_peak", "measures the CPU"},
    {"mfcc", "made where the sound is read, some thousand times faster than it was spoken"},
    {"rotary_table", "made once in double on the host, then uploaded"},
};

TEST(Coverage, EverySlotThatACudaBuildShouldFillIsFilled) {
#ifdef HINOKI_NATIVE_CUDA
  why_no_cuda();  // the library fills the slots whether or not there is a GPU
  const bool expected = true;
#else
  const bool expected = has_device(Device::cuda);
#endif
  int kernels = 0;
  for (const kernels::KernelRecord* k = kernels::all_kernels; k != nullptr; k = k->next, ++kernels) {
    const bool wanted = expected && !kCpuOnly.contains(k->name);
    EXPECT_EQ(k->on_cuda, wanted) << k->name << (wanted ? " has no CUDA kernel" : " has a CUDA kernel here");
  }
  EXPECT_GT(kernels, int(kCpuOnly.size()));
}

}  // namespace
}  // namespace hinoki::coverage_test
