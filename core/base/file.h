// Whole files, mapped files, and files written so that a crash leaves the old one or the new one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file_system.h"

namespace hinoki {

// Reading fails with Exit::data: the file is absent, unreadable or larger than its kind may be.
std::string read_file(const std::string& path, int64_t max_bytes);
// Calls block(offset, bytes) for each `block_bytes` of the file, with read(): a bad disk gives an Error, no signal.
void read_blocks(const std::string& path, int64_t block_bytes,
                 const std::function<void(int64_t, std::span<const std::byte>)>& block);
int64_t file_size(const std::string& path);
bool is_file(const std::string& path);
bool is_directory(const std::string& path);
std::vector<std::string> list_directory(const std::string& path);  // names, sorted by bytes, without . and ..
std::vector<std::string> list_tree(const std::string& path);       // files below it, as sorted relative paths

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

// A file's bytes, read-only, as long as it lives. The file may be replaced meanwhile by rename, but never shortened.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Writes with plain system calls: what write() has returned from is in the kernel, what sync() has is on the disk.
// A failure names the path, the bytes wanted and the space that is left, and is Exit::failure.
class FileWriter {
 public:
  // Always a new file: whoever has one of that name open or mapped keeps the old bytes.
  static FileWriter create(const std::string& path);
  static FileWriter open(const std::string& path);    // one that exists, to write parts of it
  static FileWriter append(const std::string& path);  // one that exists or a new one, to go on at its end

  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&& other) noexcept;
  ~FileWriter();

  // At the end. All of it or, after a failure, nothing: half a record is cut off again.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(bytes_of(text)); }
  void pwrite(std::span<const std::byte> bytes, int64_t offset);
  void truncate(int64_t bytes);
  void sync();
  void close();  // reports what the destructor would have to swallow

  int64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  FileWriter(const std::string& path, int flags);

  std::string path_;
  int file_ = -1;
  int64_t size_ = 0;
};

// Writes a temporary file beside `path`, flushes it, gives it the name, flushes the folder.
void write_file_durably(const std::string& path, std::span<const std::byte> bytes);
inline void write_file_durably(const std::string& path, std::string_view text) {
  write_file_durably(path, bytes_of(text));
}
// Removes what such writes have left in a folder when their process was killed. Nobody may be writing there.
void remove_temporaries(const std::string& folder);
// Flushes a file that others have written and closed.
void sync_file(const std::string& path);

}  // namespace hinoki
