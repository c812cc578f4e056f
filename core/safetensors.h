// Reading safetensors files, which hold tensors by name. They come from anyone: a file is checked whole when it is
// opened (header size, JSON, dtypes, shapes, offsets without holes or overlaps), and nothing is read beyond it.
//
//   8 bytes  n, little endian          n <= 100 MB
//   n bytes  {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
//   rest     the tensors, row-major, little endian; offsets count from here
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/dtype.h"
#include "core/base/file.h"
#include "core/base/shape.h"

namespace hinoki {

constexpr int64_t kMaxSafetensorsHeader = 100'000'000;

// One tensor in a file. The bytes belong to the opened file and may lie at any address: copy them out with memcpy.
struct StoredTensor {
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;
};

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as written in the file
  Shape shape;
  int64_t begin = 0, end = 0;  // counted from data_start
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // sorted by name
  std::map<std::string, std::string> metadata;
  int64_t data_start = 0;
};

// The header of a file that is `file.size()` bytes long, or an Exit::data error; `name` is for messages.
SafetensorsHeader read_safetensors_header(std::span<const std::byte> file, const std::string& name);

class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  int64_t data_start() const { return header_.data_start; }

  bool contains(std::string_view name) const { return find(name) != nullptr; }
  // Fails for a name that is absent, and for a dtype that Hinoki does not compute with (BOOL, I8, F8...): a file may
  // hold such tensors as long as nobody asks for them.
  StoredTensor at(std::string_view name) const&;
  StoredTensor at(std::string_view name) && = delete;  // its bytes would be gone

 private:
  const SafetensorsEntry* find(std::string_view name) const;

  MappedFile file_;
  SafetensorsHeader header_;
};

// The weights of a Hugging Face folder: model.safetensors, or model.safetensors.index.json and its shards.
class ModelWeights {
 public:
  static ModelWeights open(const std::string& folder, const std::string& stem = "model");

  const std::vector<std::string>& names() const { return names_; }  // sorted
  bool contains(const std::string& name) const { return shard_of_.contains(name); }
  StoredTensor at(const std::string& name) const&;
  StoredTensor at(const std::string& name) && = delete;
  const std::vector<SafetensorsFile>& shards() const { return shards_; }

 private:
  std::string folder_;
  std::vector<SafetensorsFile> shards_;
  std::map<std::string, size_t> shard_of_;
  std::vector<std::string> names_;
};

// "F32" for f32; the dtypes of the format that Hinoki has.
const char* safetensors_name(DType dtype);

}  // namespace hinoki
