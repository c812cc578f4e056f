// Writing safetensors files. The layout is fixed before the first byte: then any rank may write any part of any tensor.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/dtype.h"
#include "core/base/file.h"
#include "core/base/shape.h"

namespace hinoki {

struct TensorSpec {
  std::string name;
  DType dtype;
  Shape shape;
};

struct SafetensorsOptions {
  std::string stem = "model";           // model.safetensors, model-00001-of-00002.safetensors
  int64_t shard_bytes = 5'000'000'000;  // of tensor data; a larger tensor has a file of its own
  std::map<std::string, std::string> metadata = {{"format", "pt"}};  // which Hugging Face loaders ask for
};

// Where each tensor lies: a function of the specs alone, not of their order.
class SafetensorsLayout {
 public:
  explicit SafetensorsLayout(std::vector<TensorSpec> specs, SafetensorsOptions options = {});

  struct File {
    std::string name;
    std::string header;  // the first bytes of the file: length and JSON, padded so that the data is 8-byte aligned
    int64_t bytes;       // of the whole file
  };
  struct Place {
    size_t file;
    int64_t offset;  // in the file
    int64_t bytes;
  };
  const std::vector<File>& files() const { return files_; }
  const Place& place(const std::string& tensor) const;
  const std::map<std::string, Place>& places() const { return places_; }
  // The index of a sharded set and its name; empty for a single file.
  const std::string& index() const { return index_; }
  std::string index_name() const { return stem_ + ".safetensors.index.json"; }

 private:
  std::string stem_, index_;
  std::vector<File> files_;
  std::map<std::string, Place> places_;
};

// Writes the files of a layout into a folder, in any order of tensors and parts.
class SafetensorsWriter {
 public:
  // Creates the files in their full size, with headers and, if sharded, the index. (One rank.)
  static SafetensorsWriter create(const std::string& folder, SafetensorsLayout layout);
  // Opens files that another rank has created. (The others.)
  static SafetensorsWriter join(const std::string& folder, SafetensorsLayout layout);

  void write(const std::string& tensor, int64_t offset, std::span<const std::byte> bytes);
  void write(const std::string& tensor, std::span<const std::byte> bytes);  // the whole tensor
  // Flushes and closes. finish() is for who has written every byte, which it checks; what the parts of several ranks
  // add up to is for them to know.
  void finish();
  void finish_part();

  const SafetensorsLayout& layout() const { return layout_; }

 private:
  explicit SafetensorsWriter(SafetensorsLayout layout) : layout_(std::move(layout)) {}

  SafetensorsLayout layout_;
  std::vector<FileWriter> files_;
  std::map<std::string, int64_t> written_;
};

}  // namespace hinoki
