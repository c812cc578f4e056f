// One run, one writer: the lock on a run folder. The kernel lets go of it when the process ends, however it ends.
#pragma once
#include <optional>
#include <string>

namespace hinoki {

class RunLock {
 public:
  // Fails with Exit::usage and names the holder (process, host, since when) if another process holds it.
  explicit RunLock(const std::string& run_folder);
  RunLock(RunLock&& other) noexcept;
  ~RunLock();

 private:
  int file_ = -1;
};

}  // namespace hinoki
