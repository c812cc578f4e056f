// A disk that fails: the real system calls, counted, until the planned one. One at a time.
#pragma once
#include <cerrno>

#include "core/base/file_system.h"

namespace hinoki {

struct FaultPlan {
  int64_t at = -1;        // the call that fails, counted from 0; -1: none
  int error = EIO;        // its errno
  bool for_ever = false;  // every call after it fails too, as if the process had died there: nothing is cleaned up
  bool half = false;      // a failing write has written half
};

// Puts the counting table in place while it lives.
class FaultyDisk {
 public:
  explicit FaultyDisk(FaultPlan plan = {});
  ~FaultyDisk();
  static int64_t calls();  // so far

 private:
  UseFileSystem use_;
};

}  // namespace hinoki
