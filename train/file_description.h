// What a manifest says of one file: its size, a hash per block, and where each tensor lies with a hash of its own. Made
// in one pass, from the file or from the bytes on their way there.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/hash128.h"
#include "core/base/json.h"
#include "core/safetensors_writer.h"

namespace hinoki {

constexpr int64_t kManifestBlock = int64_t{4} << 20;

struct TensorPlace {
  std::string tensor;
  int64_t begin, end;  // in the file
};

class FileDescription {
 public:
  // `tensors` do not overlap.
  FileDescription(std::string name, std::vector<TensorPlace> tensors);

  void add(std::span<const std::byte> bytes);  // the next ones of the file
  // {"name", "bytes", "blocks": [hash], "tensors": [{"name", "begin", "end", "hash"}]}, without the last if none.
  Json finish();

 private:
  void add_to_tensors(std::span<const std::byte> bytes);

  std::string name_;
  std::vector<TensorPlace> tensors_;  // by their begin
  std::vector<std::string> blocks_, tensor_hashes_;
  Hasher128 block_, tensor_;
  int64_t at_ = 0;
};

// The tensors of one file of a layout.
std::vector<TensorPlace> places_in(const SafetensorsLayout& layout, size_t file);
// Of a file on disk.
Json describe_file(const std::string& path, const std::string& name, std::vector<TensorPlace> tensors);

}  // namespace hinoki
