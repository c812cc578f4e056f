#include "core/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "core/base/check.h"
#include "core/base/handle.h"

namespace hinoki {
namespace {

using OpenFile = Handle<int, ::close, -1>;

constexpr std::string_view kTemporary = ".tmp-";

struct Readable {
  OpenFile file;
  int64_t size;
};

Readable open_to_read(const std::string& path) {
  OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  require<Exit::data>(bool(file), path, ": cannot read: ", std::strerror(errno));
  struct stat info;
  if (::fstat(file.get(), &info) != 0) fail<Exit::data>(path, ": cannot read: ", std::strerror(errno));
  require<Exit::data>(!S_ISDIR(info.st_mode), path, ": is a folder, not a file");
  return {std::move(file), static_cast<int64_t>(info.st_size)};
}

}  // namespace

std::string read_file(const std::string& path, int64_t max_bytes) {
  const Readable source = open_to_read(path);
  require<Exit::data>(source.size <= max_bytes, path, ": has ", source.size, " bytes, more than the ", max_bytes,
                      " that such a file may have");
  // The size is only a hint: pipes and files of /proc have none, and a file may grow while it is read.
  std::string text(static_cast<size_t>(source.size) + 1, '\0');
  size_t have = 0;
  for (;;) {
    const ssize_t got = ::read(source.file.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    require<Exit::data>(got >= 0, path, ": cannot read at byte ", have, ": ", std::strerror(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
    require<Exit::data>(static_cast<int64_t>(have) <= max_bytes, path, ": has more than ", max_bytes, " bytes");
    if (have == text.size()) text.resize(std::min<size_t>(2 * have, static_cast<size_t>(max_bytes) + 1));
  }
  text.resize(have);
  return text;
}

void read_blocks(const std::string& path, int64_t block_bytes,
                 const std::function<void(int64_t, std::span<const std::byte>)>& block) {
  const Readable source = open_to_read(path);
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(block_bytes));
  const std::span buffer(memory.get(), static_cast<size_t>(block_bytes));
  for (int64_t offset = 0;; offset += block_bytes) {
    size_t have = 0;
    while (have < buffer.size()) {
      const ssize_t got = ::read(source.file.get(), buffer.data() + have, buffer.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail<Exit::data>(path, ": cannot read at byte ", offset + have, ": ", std::strerror(errno));
      if (got == 0) break;
      have += static_cast<size_t>(got);
    }
    if (have > 0) block(offset, buffer.first(have));
    if (have < buffer.size()) return;
  }
}

int64_t file_size(const std::string& path) { return open_to_read(path).size; }

bool is_file(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

bool is_directory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

std::vector<std::string> list_directory(const std::string& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    names.push_back(it->path().filename().string());
  require<Exit::data>(!error, path, ": cannot list the folder: ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> list_tree(const std::string& path) {
  std::vector<std::string> files;
  for (const std::string& name : list_directory(path)) {
    const std::string whole = path + "/" + name;
    if (std::filesystem::is_symlink(whole) || !is_directory(whole)) {
      files.push_back(name);
      continue;
    }
    for (const std::string& below : list_tree(whole)) files.push_back(name + "/" + below);
  }
  std::sort(files.begin(), files.end());
  return files;
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Readable source = open_to_read(path);
  if (source.size == 0) return;
  void* const data = ::mmap(nullptr, static_cast<size_t>(source.size), PROT_READ, MAP_SHARED, source.file.get(), 0);
  require<Exit::data>(data != MAP_FAILED, path, ": cannot map: ", std::strerror(errno));
  data_ = static_cast<const std::byte*>(data);
  size_ = static_cast<size_t>(source.size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

FileWriter::FileWriter(const std::string& path, int flags) : path_(path) {
  file_ = file_system().open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (file_ < 0) fail_writing(flags & O_CREAT ? "create" : "open for writing", path, errno);
  struct stat info;
  if (::fstat(file_, &info) == 0) size_ = static_cast<int64_t>(info.st_size);
}

FileWriter FileWriter::create(const std::string& path) {
  remove_file(path);
  return FileWriter(path, O_WRONLY | O_CREAT | O_EXCL);
}
FileWriter FileWriter::open(const std::string& path) { return FileWriter(path, O_WRONLY); }
FileWriter FileWriter::append(const std::string& path) { return FileWriter(path, O_WRONLY | O_CREAT); }

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)), size_(other.size_) {}

FileWriter& FileWriter::operator=(FileWriter&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(file_, other.file_);
  std::swap(size_, other.size_);
  return *this;
}

FileWriter::~FileWriter() {
  if (file_ >= 0) file_system().close(file_);
}

void FileWriter::write(std::span<const std::byte> bytes) {
  const int64_t before = size_;
  try {
    pwrite(bytes, size_);
  } catch (const Error&) {
    if (file_system().truncate(file_, before) == 0) size_ = before;
    throw;
  }
}

void FileWriter::pwrite(std::span<const std::byte> bytes, int64_t offset) {
  constexpr size_t kLargestWrite = size_t{1} << 30;  // one call takes at most 2 GiB
  int64_t at = offset;
  while (!bytes.empty()) {
    const size_t wanted = std::min(bytes.size(), kLargestWrite);
    const ssize_t done = file_system().pwrite(file_, bytes.data(), wanted, at);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail_writing(say("write ", bytes.size(), " bytes at offset ", at, " of"), path_, done ? errno : EIO);
    bytes = bytes.subspan(static_cast<size_t>(done));
    at += done;
    size_ = std::max(size_, at);
  }
}

void FileWriter::truncate(int64_t bytes) {
  if (file_system().truncate(file_, bytes) != 0)
    fail_writing(say("set the size to ", bytes, " bytes of"), path_, errno);
  size_ = bytes;
}

void FileWriter::sync() {
  if (file_system().fsync(file_) != 0) fail_writing("flush", path_, errno);
}

void FileWriter::close() {
  if (file_ >= 0 && file_system().close(std::exchange(file_, -1)) != 0) fail_writing("close", path_, errno);
}

void write_file_durably(const std::string& path, std::span<const std::byte> bytes) {
  const std::string temporary = path + std::string(kTemporary) + std::to_string(::getpid());
  try {
    FileWriter file = FileWriter::create(temporary);
    file.write(bytes);
    file.sync();
    file.close();
    rename_path(temporary, path);
  } catch (const Error&) {
    file_system().unlink(temporary.c_str());
    throw;
  }
  fsync_directory(parent_of(path));
}

void remove_temporaries(const std::string& folder) {
  if (!is_directory(folder)) return;
  for (const std::string& name : list_directory(folder)) {
    const size_t at = name.rfind(kTemporary);
    if (at == name.npos || name.find_first_not_of("0123456789", at + kTemporary.size()) != name.npos) continue;
    if (const std::string path = folder + "/" + name; is_file(path)) remove_file(path);
  }
}

void sync_file(const std::string& path) {
  FileWriter file = FileWriter::open(path);
  file.sync();
  file.close();
}

}  // namespace hinoki
