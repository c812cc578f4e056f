// Lines of a file (.gz and .zst decompressed), one at a time, of bounded length, for formats that are read line by
// line.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/byte_stream.h"

namespace hinoki {

class LineReader {
 public:
  // Without the line's end (\n or \r\n), and of the first line without a byte order mark.
  struct Line {
    std::string text;
    bool too_long = false;  // then `text` is its first `longest` bytes
  };

  LineReader(const std::filesystem::path& path, size_t longest);
  bool next(Line& line);                    // false after the last one
  int64_t number() const { return line_; }  // of the line given last; the first is 1
  std::string place() const;                // "file:line", for messages

 private:
  bool fill();

  std::filesystem::path path_;
  size_t longest_;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  size_t at_ = 0;
  int64_t line_ = 0;
};

}  // namespace hinoki
