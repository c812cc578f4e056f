// One set of safetensors files of a snapshot, and the copy in memory of the pieces that this rank writes into them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "core/safetensors_writer.h"
#include "train/manifest.h"
#include "train/snapshot.h"

namespace hinoki {

class StagedFiles {
 public:
  // `below`: where in a snapshot the files lie, "" or "/state".
  StagedFiles(SafetensorsLayout layout, std::string below) : layout_(std::move(layout)), below_(std::move(below)) {}

  // Takes memory for such pieces, which is kept for all copies.
  void reserve(const std::vector<SnapshotPiece>& pieces);
  void touch();  // has the system hand out its pages now and not in the first copy
  // In one pass with the thread pool.
  void copy(const std::vector<SnapshotPiece>& pieces);
  bool whole() const;  // the copy is all that the files hold
  void create(const std::string& snapshot) { writer_ = SafetensorsWriter::create(snapshot + below_, layout_); }
  void join(const std::string& snapshot) { writer_ = SafetensorsWriter::join(snapshot + below_, layout_); }
  bool is_open() const { return writer_.has_value(); }
  // Writes the copy and flushes it. Files that hold nothing else are hashed on the way, and known then.
  void write(KnownFiles& known);
  void close() { writer_.reset(); }

 private:
  struct Part {
    std::string tensor;
    size_t file;
    int64_t offset, bytes;  // in the tensor
    int64_t at;             // in the copy
  };
  bool whole(size_t file) const;

  SafetensorsLayout layout_;
  std::string below_;
  std::vector<Part> parts_;  // in the order of the files
  Tensor memory_;            // u8
  std::optional<SafetensorsWriter> writer_;
};

}  // namespace hinoki
