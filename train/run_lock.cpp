#include "train/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "core/base/check.h"
#include "core/base/file.h"

namespace hinoki {
namespace {

std::string describe_this_process() {
  char host[256] = "", when[64] = "";
  ::gethostname(host, sizeof host - 1);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &utc);
  return say("process ", ::getpid(), " on host ", host, " since ", when, "\n");
}

}  // namespace

RunLock::RunLock(const std::string& run_folder) {
  const std::string path = run_folder + "/run.lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) fail_writing("create", path, errno);
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(std::exchange(file_, -1));
    if (error != EWOULDBLOCK) fail_writing("lock", path, error);
    std::string holder = read_file(path, 4096);
    holder = holder.substr(0, holder.find('\n'));
    fail<Exit::usage>(run_folder, ": is in use by ", holder.empty() ? "another process" : holder,
                      "; stop it or choose another folder");
  }
  const std::string holder = describe_this_process();
  // For people only, so a failure to write it is no reason to stop.
  if (::ftruncate(file_, 0) == 0 && ::pwrite(file_, holder.data(), holder.size(), 0) < 0) errno = 0;
}

RunLock::RunLock(RunLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

RunLock::~RunLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace hinoki
