#include "train/manifest.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file.h"
#include "core/base/hash128.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_snapshot.h"

namespace hinoki::manifest_test {
namespace {

void flip(const std::string& path, int64_t byte, int bit) {
  std::string text = read_file(path, 1 << 30);
  text.at(static_cast<size_t>(byte)) ^= static_cast<char>(1 << bit);
  FileWriter file = FileWriter::open(path);
  file.pwrite(bytes_of(text.substr(static_cast<size_t>(byte), 1)), byte);
}

bool any_contains(const std::vector<std::string>& lines, const std::string& part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const auto& line) { return line.find(part) != std::string::npos; });
}

TEST(Manifest, HashIsXxh3) {
  EXPECT_EQ(hash128_hex({}), "99aa06d3014798d86001c324468d497f");  // of no bytes, in the library's own tests
  Hasher128 parts;
  parts.add(bytes_of("ab"));
  parts.add(bytes_of("c"));
  EXPECT_EQ(parts.hex(), hash128_hex(bytes_of("abc")));
  EXPECT_NE(parts.hex(), hash128_hex(bytes_of("abd")));
}

TEST(Manifest, KnowsItsFilesAndFacts) {
  const TemporaryFolder folder;
  const std::string path = publish_tiny_snapshot(folder.path(), 7);
  EXPECT_TRUE(verify_snapshot(path).empty());
  require_verified(path);
  const Json manifest = read_manifest(path);
  EXPECT_EQ(manifest["facts"]["step"], 7);
  std::vector<std::string> names;
  for (const Json& file : manifest["files"]) names.push_back(file["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"config.json", "model.safetensors", "state/moments.safetensors"}));
  EXPECT_EQ(manifest["files"][1]["tensors"].size(), 2u);
}

TEST(Manifest, NamesBlockAndTensorInLargeFiles) {
  const TemporaryFolder folder;
  const int64_t elements = 3 * kManifestBlock / 4 + 5;  // a tensor over four blocks
  SafetensorsWriter writer = SafetensorsWriter::create(
      folder.path(),
      SafetensorsLayout({{"a", DType::f32, {elements}}, {"b", DType::f32, {100}}, {"c", DType::f32, {0}}}));
  const std::vector<float> values(static_cast<size_t>(elements), 1.5f);
  writer.write("a", std::as_bytes(std::span(values)));
  writer.write("b", std::as_bytes(std::span(values).first(100)));
  writer.write("c", {});
  writer.finish();
  write_manifest(folder.path(), Json::object());
  EXPECT_TRUE(verify_snapshot(folder.path()).empty());
  const std::string path = folder / "model.safetensors";
  flip(path, kManifestBlock + 12345, 3);
  flip(path, file_size(path) - 1, 0);
  const auto damage = verify_snapshot(folder.path());
  ASSERT_EQ(damage.size(), 2u);
  EXPECT_NE(damage[0].find("4194304 bytes from byte 4194304 is damaged in tensor \"a\""), std::string::npos)
      << damage[0];
  // The last block holds the end of "a", which is damaged too, and "b".
  EXPECT_NE(damage[1].find("from byte 12582912 is damaged in tensor \"a\", \"b\""), std::string::npos) << damage[1];
  expect_error(Exit::snapshot, {folder.path(), "is damaged:", "\"a\"", "\"b\""},
               [&] { require_verified(folder.path()); });
}

TEST(Manifest, EveryTruncationIsFound) {
  const TemporaryFolder folder;
  const std::string path = publish_tiny_snapshot(folder.path(), 3);
  for (const std::string& name : list_tree(path)) {
    const std::string whole = read_file(path + "/" + name, 1 << 20);
    for (size_t length = 0; length < whole.size(); ++length) {
      FileWriter::open(path + "/" + name).truncate(static_cast<int64_t>(length));
      const auto damage = verify_snapshot(path);
      ASSERT_EQ(damage.size(), 1u);
      ASSERT_NE(damage[0].find(name), std::string::npos) << damage[0];
      FileWriter::open(path + "/" + name).pwrite(bytes_of(whole), 0);
    }
    std::filesystem::rename(path + "/" + name, path + "/aside");
    EXPECT_TRUE(any_contains(verify_snapshot(path), name + ": is missing"));
    std::filesystem::rename(path + "/aside", path + "/" + name);
  }
  EXPECT_TRUE(verify_snapshot(path).empty());
}

// A manifest that somebody made up, with a hash that fits.
std::string forged(std::string json) {
  json.resize(json.rfind('}'));
  json += ",\n \"manifest_hash\": \"";
  return json + hash128_hex(bytes_of(json)) + "\"\n}\n";
}

TEST(Manifest, ForgedManifestsCannotReachOutside) {
  const auto refuse = [](const std::string& files, const std::string& part) {
    SCOPED_TRACE(files);
    expect_error(Exit::snapshot, {"m.json", part}, [&] {
      parse_manifest(forged(R"({"format": "hinoki snapshot", "version": 1, "facts": {}, "files": )" + files + "}"),
                     "m.json");
    });
  };
  refuse(R"([{"name": "../x", "bytes": 0, "blocks": []}])", "outside");
  refuse(R"([{"name": "/x", "bytes": 0, "blocks": []}])", "outside");
  refuse(R"([{"name": "a/../../x", "bytes": 0, "blocks": []}])", "outside");
  refuse(R"([{"name": "x", "bytes": 1, "blocks": []}])", "0 blocks do not make 1 bytes");
  refuse(R"([{"name": "x", "bytes": -1, "blocks": []}])", "bytes");
  refuse(R"([{"name": "x", "bytes": 9223372036854775807, "blocks": []}])", "blocks do not make");
  refuse(R"([{"name": "x", "bytes": 1, "blocks": [1]}])", "no text");
  refuse(R"([1])", "no \"name\"");
  refuse(R"(1)", "\"files\" has the wrong type");
  refuse(R"([{"name": "x", "bytes": 1, "blocks": [""], "tensors": [{}]}])", "no \"name\"");
  expect_error(Exit::snapshot, {"format that this program does not know"},
               [] { parse_manifest(forged(R"({"format": "hinoki snapshot", "version": 2})"), "m.json"); });
}

}  // namespace
}  // namespace hinoki::manifest_test
