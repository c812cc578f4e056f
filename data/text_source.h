// Text files of any size as blocks of whole lines, in a fixed order. Blocks depend on the files alone, so a second pass
// sees the same ones.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/byte_stream.h"

namespace hinoki {

inline constexpr size_t kTextBlock = 256 << 10;     // bytes of a block, unless a line is longer
inline constexpr size_t kLongestLine = 1 << 20;     // longer ones are cut (data/text_split.h)
inline constexpr size_t kLongestRecord = 16 << 20;  // of JSONL, which cannot be cut

struct TextFile {
  std::filesystem::path path;
  bool json_lines;  // .jsonl or .ndjson, before .gz or .zst
  uintmax_t size;   // as stored
};

// The files that `inputs` name, in the order given; of a folder, all files below it sorted by their path, without
// hidden ones (.name) and without following links to folders.
std::vector<TextFile> list_text_files(std::span<const std::filesystem::path> inputs);

struct TextBlock {
  int64_t number = 0;  // counts all blocks of the source
  const TextFile* file = nullptr;
  int64_t offset = 0;  // of the first byte in the (decompressed) file
  int64_t line = 1;    // number of the first line in the file
  bool opens_file = false;
  bool continues_line = false;  // begins inside a line that was too long
  bool cuts_line = false;       // ends inside one
  std::string bytes;
};

class TextSource {
 public:
  explicit TextSource(std::vector<TextFile> files) : files_(std::move(files)) {}
  std::optional<TextBlock> next();          // nothing after the last one
  int64_t bytes() const { return bytes_; }  // decompressed, so far
  int64_t empty_files() const { return empty_files_; }
  const std::vector<TextFile>& files() const { return files_; }

 private:
  bool open_next();
  void read_more(size_t wanted);
  size_t block_size();

  std::vector<TextFile> files_;
  size_t next_file_ = 0;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;  // read, not yet given
  bool ended_ = false;  // nothing more will come from the file
  int64_t number_ = 0, offset_ = 0, line_ = 1, bytes_ = 0, empty_files_ = 0;
  bool opens_ = false, inside_line_ = false;
};

}  // namespace hinoki
