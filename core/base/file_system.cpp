#include "core/base/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/base/check.h"

namespace hinoki {
namespace {

int real_open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
int real_exchange(const char* a, const char* b) { return ::renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE); }

std::atomic<const FileSystem*> current = &kRealFileSystem;

bool exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

constinit const FileSystem kRealFileSystem = {
    .open = real_open,
    .pwrite = ::pwrite,
    .truncate = ::ftruncate,
    .fsync = ::fsync,
    .close = ::close,
    .rename = ::rename,
    .exchange = real_exchange,
    .unlink = ::unlink,
    .mkdir = ::mkdir,
    .rmdir = ::rmdir,
};

const FileSystem& file_system() { return *current.load(); }

UseFileSystem::UseFileSystem(const FileSystem& table) : before_(current.exchange(&table)) {}
UseFileSystem::~UseFileSystem() { current = before_; }

void fail_writing(const std::string& action, const std::string& path, int error) {
  std::string remedy;
  if (error == ENOSPC || error == EDQUOT)
    remedy =
        say(" (", free_space(path), " bytes free there); free some space or choose another folder, then start again");
  else if (error == EACCES || error == EPERM || error == EROFS)
    remedy = "; make the folder writable or choose another one";
  else if (error == EFBIG)
    remedy = say("; a file may not be that large here: look at `ulimit -f` and at what the file system allows (",
                 free_space(path), " bytes free there)");
  else if (error == EIO)
    remedy = "; the disk or the file server reports a fault";
  fail("cannot ", action, " ", path, ": ", std::strerror(error), remedy);
}

void make_directory(const std::string& path) {
  if (file_system().mkdir(path.c_str(), 0777) == 0) return;
  const int error = errno;
  std::error_code ignored;
  if (error == EEXIST && std::filesystem::is_directory(path, ignored)) return;
  const std::string parent = parent_of(path);
  if (error != ENOENT || parent == path) fail_writing("create the folder", path, error);
  make_directory(parent);
  if (file_system().mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) fail_writing("create the folder", path, errno);
}

void make_directory_durably(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return;
  const std::string parent = parent_of(path);
  if (parent != path) make_directory_durably(parent);
  make_directory(path);
  fsync_directory(parent);
}

void rename_path(const std::string& from, const std::string& to) {
  if (file_system().rename(from.c_str(), to.c_str()) != 0) fail_writing("rename " + from + " to", to, errno);
}

bool swap_paths(const std::string& from, const std::string& to) {
  if (!exists(to)) return rename_path(from, to), false;
  if (file_system().exchange(from.c_str(), to.c_str()) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) fail_writing("rename " + from + " to", to, errno);
  // A file system without exchange (NFS): two renames, with a moment in which `to` is absent.
  const std::string aside = from + ".old";
  rename_path(to, aside);
  rename_path(from, to);
  rename_path(aside, from);
  return true;
}

void remove_file(const std::string& path) {
  if (file_system().unlink(path.c_str()) != 0 && errno != ENOENT) fail_writing("remove", path, errno);
}

void remove_tree(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) return;
  if (!S_ISDIR(info.st_mode)) return remove_file(path);
  std::error_code error;
  for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error))
    remove_tree(it->path().string());
  if (error) fail_writing("list", path, error.value());
  if (file_system().rmdir(path.c_str()) != 0 && errno != ENOENT) fail_writing("remove the folder", path, errno);
}

void fsync_directory(const std::string& path) {
  const int file = file_system().open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (file < 0) fail_writing("open the folder", path, errno);
  const int error = file_system().fsync(file) == 0 ? 0 : errno;
  file_system().close(file);
  if (error && error != EINVAL) fail_writing("flush the folder", path, error);  // EINVAL: nothing to flush there
}

std::string parent_of(const std::string& path) {
  const auto end = path.find_last_not_of('/');
  const auto slash = end == std::string::npos ? end : path.rfind('/', end);
  if (slash == std::string::npos) return end == std::string::npos && !path.empty() ? "/" : ".";
  const auto last = path.find_last_not_of('/', slash);
  return last == std::string::npos ? "/" : path.substr(0, last + 1);
}

int64_t free_space(const std::string& path) {
  struct statvfs info;
  if (::statvfs(path.c_str(), &info) != 0 && ::statvfs(parent_of(path).c_str(), &info) != 0) return -1;
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace hinoki
