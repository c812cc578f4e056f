// The system calls that change a disk, in one table, so that a test can count them, fail them and stop the world at any
// of them. Everything Hinoki writes durably goes through it.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace hinoki {

// Each entry behaves as the system call of its name: -1 and errno on failure.
struct FileSystem {
  int (*open)(const char* path, int flags, mode_t mode);
  ssize_t (*pwrite)(int file, const void* data, size_t bytes, off_t offset);
  int (*truncate)(int file, off_t bytes);
  int (*fsync)(int file);
  int (*close)(int file);
  int (*rename)(const char* from, const char* to);
  int (*exchange)(const char* a, const char* b);  // swaps two names in one step; not every file system can
  int (*unlink)(const char* path);
  int (*mkdir)(const char* path, mode_t mode);
  int (*rmdir)(const char* path);
};

extern const FileSystem kRealFileSystem;
const FileSystem& file_system();

// Puts another table in place while it lives. For tests: no other thread may write meanwhile.
class UseFileSystem {
 public:
  explicit UseFileSystem(const FileSystem& table);
  ~UseFileSystem();
  UseFileSystem(const UseFileSystem&) = delete;

 private:
  const FileSystem* before_;
};

// Failures of the functions below are Exit::failure: the disk, not the user's input, is at fault. Messages name the
// path and the system's reason, and for a full disk the space that is left.
[[noreturn]] void fail_writing(const std::string& action, const std::string& path, int error);

void make_directory(const std::string& path);                      // and its parents; content with one that exists
void make_directory_durably(const std::string& path);              // the names it makes survive a power cut
void rename_path(const std::string& from, const std::string& to);  // replaces a file, never a full directory
// Gives `to` what `from` is. What `to` was is afterwards under `from`; false if there was nothing to swap.
bool swap_paths(const std::string& from, const std::string& to);
void remove_file(const std::string& path);      // content with one that is absent
void remove_tree(const std::string& path);      // a file or a directory with all it holds; follows no links
void fsync_directory(const std::string& path);  // after it, created and renamed names in it survive a power cut

std::string parent_of(const std::string& path);
int64_t free_space(const std::string& path);  // bytes an ordinary user may still write there; -1 if unknown

}  // namespace hinoki
