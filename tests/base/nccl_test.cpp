// NCCL's library: what is there, or a message that says how to get it.
#include "core/base/nccl.h"

#include <gtest/gtest.h>

#include "tests/end_to_end/program.h"
#include "tests/support/expect_error.h"

namespace hinoki::nccl_test {
namespace {

std::string line_of_doctor(const std::map<std::string, std::string>& environment) {
  const std::string all = test::run_program({"doctor"}, {.environment = environment}).out;
  const size_t begin = all.find("ok   NCCL");
  return begin == std::string::npos ? "no line in " + all : all.substr(begin, all.find('\n', begin) - begin);
}

TEST(NcclLibrary, IsThereOrMissedByTheDoctor) {
  const nccl::Presence here = nccl::look_for_library();
  EXPECT_NE(line_of_doctor({}).find(here.text), std::string::npos) << line_of_doctor({});
  if (nccl::twins != nullptr) {
    EXPECT_EQ(here.text, "the emulator's");
  } else if (here.found) {
    EXPECT_GE(here.text, "2.14") << "a version";
    EXPECT_STREQ(nccl::require_library().get_error_string(nccl::success), "no error") << "its functions can be called";
  } else {
    EXPECT_ERROR(nccl::require_library(), Exit::usage, "install libnccl2");
  }
}

TEST(NcclLibrary, OfAnotherNameOrKindIsToldWithTheRemedy) {
  if (nccl::twins != nullptr) return;  // nothing is loaded
  for (const auto& [path, part] :
       {std::pair("/absent/libnccl.so", "NCCL: cannot load /absent/libnccl.so: "),
        std::pair("libm.so.6", "NCCL: libm.so.6 has no ncclGetVersion, so it is not NCCL")}) {
    const std::string line = line_of_doctor({{"HINOKI_NCCL_LIBRARY", path}});
    EXPECT_NE(line.find(part), std::string::npos) << line;
    EXPECT_NE(line.find("install libnccl2"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace hinoki::nccl_test
