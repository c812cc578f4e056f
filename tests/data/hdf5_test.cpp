#include "data/hdf5.h"

#include <numeric>
#include <thread>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki {

TEST(Hdf5, RowsAndAttributesComeBack) {
  const TemporaryFolder folder;
  {
    Hdf5File file = Hdf5File::create(folder / "a.h5");
    file.set("name", "猫");
    file.set("count", int64_t{-5});
    file.create_group("inner");
    Hdf5Dataset rows = file.create_dataset("inner/rows", {.type = DType::f32, .row_shape = {2, 3}, .chunk_rows = 4});
    std::vector<float> values(5 * 6);
    std::iota(values.begin(), values.end(), 0.0f);
    rows.append(std::span<const float>(values).first(6));
    rows.append(std::span<const float>(values).subspan(6));
    EXPECT_EQ(rows.rows(), 5);
    Hdf5Dataset none = file.create_dataset("empty", {.type = DType::i64, .chunk_rows = 4});
  }
  const Hdf5File file = Hdf5File::open(folder / "a.h5");
  EXPECT_EQ(file.text("name"), "猫");
  EXPECT_EQ(file.integer("count"), -5);
  EXPECT_TRUE(file.has("inner") && file.has("inner/rows") && !file.has("outer"));
  EXPECT_EQ(file.names(), (std::vector<std::string>{"empty", "inner"}));
  const Hdf5Dataset rows = file.dataset("inner/rows");
  EXPECT_EQ(rows.type(), DType::f32);
  EXPECT_EQ(rows.row_shape(), (std::vector<int64_t>{2, 3}));
  std::vector<float> two(12);
  rows.read(3, std::span(two));
  EXPECT_EQ(two.front(), 18);
  EXPECT_EQ(two.back(), 29);
  EXPECT_EQ(file.dataset("empty").rows(), 0);
}

TEST(Hdf5, NarrowIntegersReadAsWideOnes) {
  const TemporaryFolder folder;
  {
    Hdf5File file = Hdf5File::create(folder / "a.h5");
    file.create_dataset("x", {.type = DType::u16, .chunk_rows = 4})
        .append(std::span<const uint16_t>(std::vector<uint16_t>{1, 65535}));
  }
  std::vector<int32_t> wide(2);
  Hdf5File::open(folder / "a.h5").dataset("x").read(0, std::span(wide));
  EXPECT_EQ(wide, (std::vector<int32_t>{1, 65535}));
}

TEST(Hdf5, FaultsNameTheFileAndThePlace) {
  const TemporaryFolder folder;
  EXPECT_ERROR(Hdf5File::open(folder / "none.h5"), Exit::data, "No such file");
  EXPECT_ERROR(Hdf5File::open(folder.write("text.h5", "not HDF5")), Exit::data, "text.h5\" is not an HDF5 file");
  EXPECT_ERROR(Hdf5File::create(folder / "no/folder.h5"), Exit::data, "cannot create");
  Hdf5File file = Hdf5File::create(folder / "a.h5");
  Hdf5Dataset x = file.create_dataset("x", {.type = DType::i32, .row_shape = {2}, .chunk_rows = 4});
  const std::vector<int32_t> three(3);
  EXPECT_ERROR(x.append(std::span<const int32_t>(three)), Exit::failure, "no whole number of rows");
  EXPECT_ERROR(x.append(std::span<const float>(std::vector<float>(2))), Exit::failure, "cannot append f32");
  std::vector<int32_t> out(2);
  EXPECT_ERROR(x.read(0, std::span(out)), Exit::data, "dataset x: rows 0 to 1 are asked for, it has 0");
  EXPECT_ERROR(file.dataset("y"), Exit::data, "dataset y");
  EXPECT_ERROR(file.create_dataset("x", {.type = DType::i32, .chunk_rows = 1}), Exit::data, "cannot create");
  EXPECT_ERROR(file.text("name"), Exit::data, "no attribute name");
  file.set("name", "text");
  EXPECT_ERROR(file.integer("name"), Exit::data, "is not an integer");
}

TEST(Hdf5, ManyThreadsMayUseIt) {
  const TemporaryFolder folder;
  std::vector<std::thread> threads;
  std::vector<int64_t> sums(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      const auto path = folder / ("t" + std::to_string(t) + ".h5");
      {
        Hdf5File file = Hdf5File::create(path);
        Hdf5Dataset x = file.create_dataset("x", {.type = DType::i64, .chunk_rows = 64});
        for (int64_t i = 0; i < 200; ++i) x.append(std::span<const int64_t>(&i, 1));
      }
      std::vector<int64_t> back(200);
      Hdf5File::open(path).dataset("x").read(0, std::span(back));
      sums[t] = std::accumulate(back.begin(), back.end(), int64_t{0});
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(sums, std::vector<int64_t>(4, 19900));
}

}  // namespace hinoki
