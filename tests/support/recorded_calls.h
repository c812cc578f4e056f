// Remembers the system calls that change a disk, for a simulated one to repeat.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/file_system.h"

namespace hinoki {

struct DiskCall {
  enum Kind { open, pwrite, truncate, fsync, close, rename, exchange, unlink, mkdir, rmdir } kind;
  std::string path = {}, other = {};
  int file = -1;
  int flags = 0;
  int64_t offset = 0;  // of a write; the size that truncate sets
  std::string bytes = {};
};

// Puts a table in place that does what the real one does, and remembers what has succeeded. One at a time; any thread
// may write.
class RecordedCalls {
 public:
  RecordedCalls();
  ~RecordedCalls();
  static std::vector<DiskCall> calls();  // so far

 private:
  UseFileSystem use_;
};

}  // namespace hinoki
