// Asking for a GPU: what is there, or else a message that says what is missing.
#include "core/base/backend.h"

#include <gtest/gtest.h>

#include <map>

#include "core/base/device.h"
#include "kernels/kernel.h"
#include "tests/end_to_end/tiny_program.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::backend_test {
namespace {

using test::expect_outcome;

TEST(Backend, IsReadyOrSaysWhatIsMissing) {
  const std::string why = why_no_cuda();
  EXPECT_EQ(why.empty(), has_device(Device::cuda));
  if (why.empty()) {
    EXPECT_GT(device_table(Device::cuda).total_memory(), 0u);
    const auto doctor = test::run_program({"doctor"});
    EXPECT_NE(doctor.out.find(device_table(Device::cuda).name), std::string::npos) << doctor.out;
  } else {
    EXPECT_EQ(why_no_cuda(), why) << "asked again";
    expect_outcome(2, {why}, {"doctor", "--device", "cuda"});
    const test::TinyProgram p;
    expect_outcome(2, {why}, {"train", p.config("run"), "device=cuda"});
    EXPECT_FALSE(std::filesystem::exists(p.path("run"))) << "refused before anything is made";
  }
}

// Where a GPU is there from the start, nothing is loaded.
TEST(Backend, SaysWhatIsWrongWithANamedLibrary) {
  if (has_device(Device::cuda) && cuda_backend() == nullptr) return;
  const TemporaryFolder folder;
  const auto refused = [](const std::string& library, const std::string& part) {
    expect_outcome(2, {part}, {"doctor", "--device", "cuda"}, {.environment = {{"HINOKI_CUDA_LIBRARY", library}}});
  };
  const std::string absent = (folder.path() / "absent.so").string();
  refused(absent, "CUDA: HINOKI_CUDA_LIBRARY names " + absent + ", which is not there");
  const std::string torn = folder.write("torn.so", "not a library").string();
  refused(torn, "CUDA: cannot load " + torn);
  refused("/proc/self/exe", "CUDA: cannot load /proc/self/exe");
}

#ifdef HINOKI_NATIVE_CUDA
TEST(Backend, ProgramAndLibrarySeeTheSameSlots) {
  why_no_cuda();
  ASSERT_NE(cuda_backend(), nullptr) << why_no_cuda();
  EXPECT_EQ(cuda_backend()->address("cuda_device"), &cuda_device);
  int filled = 0;
  std::map<std::string, const void*> first;  // of a name, on the program's list
  for (const kernels::KernelRecord* k = kernels::all_kernels; k != nullptr; k = k->next) {
    first.emplace(k->name, k);
    filled += k->on_cuda;
  }
  for (const auto& [name, slots] : first) EXPECT_EQ(cuda_backend()->address(name.c_str()), slots) << name;
  EXPECT_GT(filled, 0) << "the library fills slots of its own";
}
#endif

}  // namespace
}  // namespace hinoki::backend_test
