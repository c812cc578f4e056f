#include "core/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "core/base/philox.h"
#include "core/safetensors_writer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::safetensors_test {
namespace {

std::string with_length(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + data;
}

std::string tensor(const std::string& name, const std::string& shape, int64_t begin, int64_t end,
                   const std::string& dtype = "U8") {
  return say('"', name, R"(":{"dtype":")", dtype, R"(","shape":)", shape, R"(,"data_offsets":[)", begin, ",", end,
             "]}");
}

void refuse(const std::string& file, const std::vector<std::string>& parts) {
  SCOPED_TRACE(file.substr(0, 300));
  std::vector<std::string> all = {"f.safetensors"};
  all.insert(all.end(), parts.begin(), parts.end());
  expect_error(Exit::data, all, [&] { read_safetensors_header(bytes_of(file), "f.safetensors"); });
}

std::vector<std::byte> random_bytes(int64_t count, uint64_t seed) {
  std::vector<std::byte> bytes(static_cast<size_t>(count));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(philox({.seed = seed}, i)[0]);
  return bytes;
}

const std::vector<TensorSpec> kSpecs = {
    {"b.weight", DType::f32, {3, 5}}, {"a.bias", DType::bf16, {7}}, {"ids", DType::i64, {2, 1, 2}},
    {"empty", DType::f16, {4, 0}},    {"scalar", DType::f64, {}},   {"mask", DType::u8, {3}},
};

std::map<std::string, std::vector<std::byte>> write_all(const std::string& folder, const SafetensorsLayout& layout) {
  std::map<std::string, std::vector<std::byte>> contents;
  SafetensorsWriter writer = SafetensorsWriter::create(folder, layout);
  for (const auto& [name, place] : layout.places()) {
    const auto& bytes = contents[name] = random_bytes(place.bytes, contents.size());
    // In two parts, the second one first.
    const auto half = bytes.size() / 2;
    writer.write(name, static_cast<int64_t>(half), std::span(bytes).subspan(half));
    writer.write(name, 0, std::span(bytes).first(half));
  }
  writer.finish();
  return contents;
}

TEST(Safetensors, WritesWhatItReads) {
  const TemporaryFolder folder;
  const auto contents = write_all(folder.path(), SafetensorsLayout(kSpecs));
  const SafetensorsFile file = SafetensorsFile::open(folder / "model.safetensors");
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.entries().size(), kSpecs.size());
  for (const TensorSpec& spec : kSpecs) {
    const StoredTensor stored = file.at(spec.name);
    EXPECT_EQ(stored.dtype, spec.dtype);
    EXPECT_EQ(stored.shape, spec.shape);
    const auto& expected = contents.at(spec.name);
    ASSERT_EQ(stored.bytes.size(), expected.size());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), stored.bytes.begin())) << spec.name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(stored.bytes.data()) % size_of(spec.dtype), 0u) << spec.name;
  }
  expect_error(Exit::data, {"model.safetensors", "has no tensor \"none\""}, [&] { file.at("none"); });
}

TEST(Safetensors, LayoutDoesNotDependOnOrder) {
  std::vector<TensorSpec> reversed(kSpecs.rbegin(), kSpecs.rend());
  EXPECT_EQ(SafetensorsLayout(kSpecs).files()[0].header, SafetensorsLayout(reversed).files()[0].header);
}

TEST(Safetensors, ShardsWithIndex) {
  const TemporaryFolder folder;
  const SafetensorsLayout layout(kSpecs, {.shard_bytes = 60});
  EXPECT_EQ(layout.files().size(), 3u);  // a.bias | b.weight, empty | ids, mask, scalar: 14, 60 and 43 bytes
  const auto contents = write_all(folder.path(), layout);
  const ModelWeights weights = ModelWeights::open(folder.path());
  EXPECT_EQ(weights.names(), (std::vector<std::string>{"a.bias", "b.weight", "empty", "ids", "mask", "scalar"}));
  for (const auto& [name, expected] : contents) {
    const auto bytes = weights.at(name).bytes;
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin(), bytes.end())) << name;
  }
  const Shape shape = weights.at("b.weight").shape;
  EXPECT_EQ(shape, (Shape{3, 5}));
  expect_error(Exit::data, {folder.path(), "no tensor \"x\""}, [&] { weights.at("x"); });
}

TEST(Safetensors, RanksWritePartsOfOneLayout) {
  const TemporaryFolder folder;
  const SafetensorsLayout layout({{"w", DType::f32, {1000}}});
  const auto bytes = random_bytes(4000, 9);
  SafetensorsWriter first = SafetensorsWriter::create(folder.path(), layout);
  SafetensorsWriter second = SafetensorsWriter::join(folder.path(), layout);
  second.write("w", 1500, std::span(bytes).subspan(1500));
  second.finish_part();
  first.write("w", 0, std::span(bytes).first(1500));
  expect_error(Exit::failure, {"tensor w: 1500 of 4000 bytes"}, [&] { first.finish(); });
  first.finish_part();
  const SafetensorsFile file = SafetensorsFile::open(folder / "model.safetensors");
  const auto stored = file.at("w").bytes;
  EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), stored.begin(), stored.end()));
}

TEST(Safetensors, WriterRefusesWhatDoesNotFit) {
  const TemporaryFolder folder;
  expect_error(Exit::failure, {"two tensors are named a"}, [] {
    SafetensorsLayout({{"a", DType::u8, {1}}, {"b", DType::u8, {1}}, {"a", DType::u8, {1}}});
  });
  SafetensorsWriter writer = SafetensorsWriter::create(folder.path(), SafetensorsLayout({{"w", DType::f32, {2}}}));
  const auto bytes = random_bytes(9, 0);
  expect_error(Exit::failure, {"w has 8 bytes", "9"}, [&] { writer.write("w", bytes); });
  expect_error(Exit::failure, {"cannot write 9 at offset 4"}, [&] { writer.write("w", 4, bytes); });
  expect_error(Exit::failure, {"at offset -1"}, [&] { writer.write("w", -1, std::span(bytes).first(1)); });
  expect_error(Exit::failure, {"tensor x is not in the layout"}, [&] { writer.write("x", bytes); });
  expect_error(Exit::failure, {"tensor w: 0 of 8 bytes"}, [&] { writer.finish(); });
}

TEST(Safetensors, RefusesHostileHeaders) {
  refuse("", {"has 0 bytes"});
  refuse(with_length("{}").substr(0, 7), {"has 7 bytes"});
  refuse(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}"), {"claims a header of 18446744073709551615"});
  refuse(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10), {"claims a header of 100000001", "allows 100000000"});
  refuse(std::string("\x00\xe1\xf5\x05\0\0\0\0{}", 10), {"claims a header of 100000000 bytes, but only 2 follow"});
  refuse(with_length(""), {"byte 8 is not a JSON object"});
  refuse(with_length(" {}"), {"byte 8 is not a JSON object"});
  refuse(with_length("[]"), {"byte 8 is not a JSON object"});
  refuse(with_length("{\"a\": \"\xff\"}"), {"broken JSON at byte"});
  refuse(with_length("{} x"), {"broken JSON at byte 1"});
  refuse(with_length("{"), {"broken JSON at byte"});
  refuse(with_length("{" + std::string(100'000, '[')), {"broken JSON"});
  refuse(with_length("{\"a\":" + std::string(100'000, '[')), {"unexpected list"});
  refuse(with_length("{\"a\":{\"shape\":[[1]]}}"), {"unexpected list (at \"a\")"});
  refuse(with_length("{\"a\":{\"shape\":[-1]}}"), {"unexpected number -1 (at \"a\")"});
  refuse(with_length("{\"a\":{\"shape\":[1.0]}}"), {"unexpected number 1.0"});
  refuse(with_length("{\"a\":{\"shape\":[99999999999999999999]}}"), {"unexpected number"});
  refuse(with_length("{\"a\":{\"shape\":[18446744073709551615]}}"), {"unexpected number"});
  refuse(with_length("{\"a\":{\"shape\":[1,1,1,1,1,1,1]}}"), {"more than 6 axes"});
  refuse(with_length("{\"a\":{\"data_offsets\":[0]}}"), {"two numbers"});
  refuse(with_length("{\"a\":{\"data_offsets\":[0,1,2]}}"), {"two numbers"});
  refuse(with_length("{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}"), {"needs dtype, shape and data_offsets"});
  refuse(with_length("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}"), {"unexpected key \"dtype\""});
  refuse(with_length("{\"a\":{\"more\":1}}"), {"unexpected key \"more\""});
  refuse(with_length("{\"a\":null}"), {"unexpected null"});
  refuse(with_length("{\"a\":1}"), {"unexpected number"});
  refuse(with_length("{\"a\":\"b\"}"), {"unexpected text"});
  refuse(with_length("{\"__metadata__\":{\"a\":1}}"), {"unexpected number 1"});
  refuse(with_length("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}"), {"metadata \"a\" appears twice"});
  refuse(with_length("{\"__metadata__\":{},\"__metadata__\":{}}"), {"__metadata__ appears twice"});
}

TEST(Safetensors, RefusesHostileLayouts) {
  const auto file = [](const std::vector<std::string>& tensors, size_t bytes) {
    std::string header;
    for (const std::string& t : tensors) header += (header.empty() ? "{" : ",") + t;
    return with_length(header + "}", std::string(bytes, 'x'));
  };
  EXPECT_EQ(read_safetensors_header(bytes_of(file({tensor("a", "[2]", 0, 2), tensor("b", "[]", 2, 3)}, 3)), "")
                .entries.size(),
            2u);
  refuse(file({tensor("a", "[2]", 0, 2), tensor("a", "[1]", 2, 3)}, 3), {"holds tensor \"a\" twice"});
  refuse(file({tensor("a", "[2]", 0, 2), tensor("b", "[2]", 1, 3)}, 3), {"\"b\" begins at data byte 1, inside"});
  refuse(file({tensor("a", "[2]", 0, 2), tensor("b", "[2]", 0, 2)}, 2), {"begins at data byte 0", "inside"});
  refuse(file({tensor("a", "[1]", 0, 1), tensor("b", "[1]", 2, 3)}, 3), {"\"b\"", "leaves a hole"});
  refuse(file({tensor("a", "[1]", 1, 2)}, 2), {"\"a\"", "leaves a hole"});
  refuse(file({tensor("a", "[1]", 0, 1)}, 3), {"2 bytes from data byte 1 on belong to no tensor"});
  refuse(file({tensor("a", "[4]", 0, 4)}, 3), {"\"a\" ends at data byte 4, but the file holds 3", "cut short"});
  refuse(file({tensor("a", "[2]", 0, 3)}, 3), {"takes 2 bytes, but its offsets are 0 to 3"});
  refuse(file({tensor("a", "[2]", 0, 2, "F32")}, 2), {"takes 8 bytes"});
  refuse(file({tensor("a", "[1]", 3, 2)}, 3), {"offsets are 3 to 2"});
  refuse(file({tensor("a", "[1]", 0, 1, "F31")}, 1), {"\"a\" has the unknown dtype \"F31\""});
  refuse(file({tensor("a", "[1152921504606846976]", 0, 8, "F64")}, 8), {"larger than can be counted"});
  refuse(file({tensor("a", "[1152921504606846976,1152921504606846976,0]", 0, 0)}, 0), {"larger than can be counted"});
  refuse(file({tensor("a", "[1152921504606846976]", 0, 1152921504606846976)}, 8),
         {"ends at data byte 1152921504606846976"});
}

TEST(Safetensors, DtypesHinokiLacksHarmOnlyWhoAsksForThem) {
  const TemporaryFolder folder;
  write_file_durably(
      folder / "f.safetensors",
      with_length("{" + tensor("mask", "[2]", 0, 2, "BOOL") + "," + tensor("w", "[1]", 2, 6, "F32") + "}", "xxxxxx"));
  const SafetensorsFile file = SafetensorsFile::open(folder / "f.safetensors");
  EXPECT_EQ(file.at("w").bytes.size(), 4u);
  EXPECT_TRUE(file.contains("mask"));
  expect_error(Exit::data, {"f.safetensors", "\"mask\" is BOOL, which Hinoki lacks"}, [&] { file.at("mask"); });
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const TemporaryFolder folder;
  write_all(folder.path(), SafetensorsLayout(kSpecs));
  const std::string whole = read_file(folder / "model.safetensors", 1 << 20);
  for (size_t length = 0; length < whole.size(); ++length) {
    // A copy of exactly this length, so that a sanitizer sees any byte read past its end.
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_THROW(read_safetensors_header(std::as_bytes(std::span(cut)), "cut"), Error) << length;
  }
}

TEST(Safetensors, RefusesAnIndexThatPointsElsewhere) {
  const TemporaryFolder folder;
  write_all(folder.path(), SafetensorsLayout(kSpecs, {.shard_bytes = 60}));
  const std::string index = folder / "model.safetensors.index.json";
  const auto with_index = [&](const std::string& text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    write_file_durably(index, text);
    expect_error(Exit::data, parts, [&] { ModelWeights::open(folder.path()); });
  };
  with_index("{", {"index.json", "broken JSON at byte"});
  with_index("{}", {"index.json", "no \"weight_map\""});
  with_index("[]", {"no \"weight_map\""});
  with_index(R"({"weight_map":[]})", {"wrong type (array)"});
  with_index(R"({"weight_map":{"a":1}})", {"\"a\" does not name a file"});
  with_index(R"({"weight_map":{"a":"../x.safetensors"}})", {"\"a\"", "not a file of the folder"});
  with_index(R"({"weight_map":{"a":"/etc/passwd"}})", {"not a file of the folder"});
  with_index(R"({"weight_map":{"a":".."}})", {"not a file of the folder"});
  with_index(R"({"weight_map":{"a":"x\u0000y"}})", {"not a file of the folder"});
  with_index(R"({"weight_map":{"a":"none.safetensors"}})", {"none.safetensors", "cannot read"});
  with_index(R"({"weight_map":{"a":"model-00001-of-00003.safetensors"}})", {"\"a\" should lie in", "does not hold it"});
  with_index(R"({"weight_map":{"a":"x","a":"y"}})", {"\"a\" appears twice"});
  std::filesystem::remove(index);
  expect_error(Exit::data, {folder.path(), "holds neither"}, [&] { ModelWeights::open(folder.path()); });
}

}  // namespace
}  // namespace hinoki::safetensors_test
