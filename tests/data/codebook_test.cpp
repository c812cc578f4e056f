#include "data/codebook.h"

#include <cmath>
#include <fstream>

#include "data/hdf5.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::codebook_test {
namespace {

Codebook small() {
  return {.features = "mfcc",
          .rate = 100,
          .clusters = 3,
          .dim = 2,
          .corpus = "0123456789abcdef0123456789abcdef",
          .centres = {1, 2, 3, 4, 5, -6.5f}};
}

TEST(Codebook, ComesBack) {
  const TemporaryFolder folder;
  write_codebook(folder / "codebook.h5", small());
  const Codebook read = read_codebook(folder / "codebook.h5");
  EXPECT_EQ(read.features, "mfcc");
  EXPECT_EQ(read.rate, 100);
  EXPECT_EQ(read.clusters, 3);
  EXPECT_EQ(read.dim, 2);
  EXPECT_EQ(read.corpus, small().corpus);
  EXPECT_EQ(read.centres, small().centres);
  EXPECT_EQ(read.hash(), small().hash());
}

TEST(Codebook, HashNamesAllOfIt) {
  Codebook other = small();
  other.centres[5] = -6.25f;
  EXPECT_NE(other.hash(), small().hash());
  other = small();
  other.rate = 50;
  EXPECT_NE(other.hash(), small().hash());
  other = small();
  other.features = "mfc";
  other.corpus = "c" + other.corpus;
  EXPECT_NE(other.hash(), small().hash());
}

TEST(Codebook, RefusesWhatIsDamagedOrSomethingElse) {
  const TemporaryFolder folder;
  const auto path = folder / "codebook.h5";
  EXPECT_ERROR(read_codebook(path), Exit::data, "there is no codebook");
  write_codebook(path, small());
  std::string bytes;
  {
    std::ifstream in(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  const float last = -6.5f;
  const size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&last), sizeof(last)));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] ^= 1;
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_ERROR(read_codebook(path), Exit::data, "is damaged (hash mismatch)");

  Codebook infinite = small();
  infinite.centres[0] = INFINITY;
  write_codebook(path, infinite);
  EXPECT_ERROR(read_codebook(path), Exit::data, "not all finite");

  Hdf5File file = Hdf5File::create(path);
  file.set("format", "hinoki speech");
  file.close();
  EXPECT_ERROR(read_codebook(path), Exit::data, "is not a codebook");

  file = Hdf5File::create(path);
  file.set("format", "hinoki codebook");
  file.set("version", kCodebookVersion + 1);
  file.close();
  EXPECT_ERROR(read_codebook(path), Exit::data, "has version 2, this program reads version 1");

  Codebook wrong = small();
  wrong.centres.pop_back();
  EXPECT_ERROR(write_codebook(path, wrong), Exit::failure, "holds 5 numbers");
}

}  // namespace
}  // namespace hinoki::codebook_test
