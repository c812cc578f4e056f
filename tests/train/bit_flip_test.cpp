// One bit in any file of a snapshot: found, and named by file, and in safetensors by tensor.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/base/handle.h"
#include "core/base/log.h"
#include "core/base/philox.h"
#include "core/safetensors.h"
#include "tests/support/tiny_run.h"
#include "tests/support/torture.h"
#include "train/manifest.h"
#include "train/run.h"

namespace hinoki::bit_flip_test {
namespace {

void flip(const std::string& path, int64_t byte, int bit) {
  const Handle<int, ::close, -1> file(::open(path.c_str(), O_RDWR));
  char c = 0;
  ASSERT_EQ(::pread(file.get(), &c, 1, byte), 1) << path;
  c ^= char(1 << bit);
  ASSERT_EQ(::pwrite(file.get(), &c, 1, byte), 1) << path;
}

struct File {
  std::string name;
  int64_t bytes;
  std::vector<TensorPlace> tensors;

  // What a message about this byte has to say.
  std::string belongs_to(int64_t byte) const {
    for (const TensorPlace& t : tensors)
      if (byte >= t.begin && byte < t.end) return "in tensor \"" + t.tensor + "\"";
    return tensors.empty() ? "" : "in the header";
  }
};

std::vector<File> files_of(const std::string& snapshot) {
  std::vector<File> files;
  for (const std::string& name : list_tree(snapshot)) {
    const std::string path = snapshot + "/" + name;
    files.push_back({name, file_size(path), {}});
    if (!name.ends_with(".safetensors")) continue;
    const SafetensorsFile file = SafetensorsFile::open(path);
    for (const SafetensorsEntry& e : file.entries())
      files.back().tensors.push_back({e.name, file.data_start() + e.begin, file.data_start() + e.end});
  }
  return files;
}

TEST(BitFlip, IsFoundAndNamedInAnyFileOfASnapshot) {
  set_quiet(true);
  const test::TinyRun tiny;
  hinoki::Run run(tiny.config);
  run.step();
  const std::string snapshot = run.save();
  const std::vector<File> files = files_of(snapshot);
  EXPECT_EQ(files.size(), 12u);
  const int64_t flips = test::torture_count("HINOKI_TORTURE_FLIPS", 1000);
  int64_t missed = 0, misnamed = 0;
  for (int64_t i = 0; i < flips; ++i) {
    const Random4 random = philox({.seed = 4}, uint64_t(i));
    const File& file = files[random[0] % files.size()];
    const int64_t byte = random[1] % file.bytes;
    const std::string path = snapshot + "/" + file.name;
    flip(path, byte, int(random[2] % 8));
    const std::vector<std::string> damage = verify_snapshot(snapshot);
    flip(path, byte, int(random[2] % 8));
    missed += damage.empty();
    const bool named = damage.size() == 1 && damage[0].starts_with(path + ": ") &&
                       damage[0].find(file.belongs_to(byte)) != std::string::npos;
    misnamed += !damage.empty() && !named;
    EXPECT_TRUE(named) << path << " byte " << byte << ": " << (damage.empty() ? "not found" : damage[0]);
  }
  EXPECT_TRUE(verify_snapshot(snapshot).empty()) << "all is as it was";
  std::printf("bit flips: %lld in %zu files of a snapshot, %lld not found, %lld not named\n", (long long)flips,
              files.size(), (long long)missed, (long long)misnamed);
  set_quiet(false);
}

}  // namespace
}  // namespace hinoki::bit_flip_test
