#include "tests/support/faulty_disk.h"

#include <atomic>

namespace hinoki {
namespace {

FaultPlan plan;
std::atomic<int64_t> count{0};  // ranks that are threads share the disk

bool fails(int64_t call) {
  const bool now = plan.at >= 0 && (call == plan.at || (plan.for_ever && call > plan.at));
  if (now) errno = plan.error;
  return now;
}
bool fails() { return fails(count++); }

ssize_t faulty_pwrite(int file, const void* data, size_t bytes, off_t offset) {
  const int64_t call = count++;
  if (!fails(call)) return kRealFileSystem.pwrite(file, data, bytes, offset);
  if (call == plan.at && plan.half && bytes > 1) kRealFileSystem.pwrite(file, data, bytes / 2, offset);
  errno = plan.error;
  return -1;
}

int faulty_close(int file) {
  const bool failed = fails();
  const int result = kRealFileSystem.close(file);  // else the test would run out of descriptors
  if (!failed) return result;
  errno = plan.error;
  return -1;
}

constexpr FileSystem kFaulty = {
    .open = [](const char* path, int flags,
               mode_t mode) { return fails() ? -1 : kRealFileSystem.open(path, flags, mode); },
    .pwrite = faulty_pwrite,
    .truncate = [](int file, off_t bytes) { return fails() ? -1 : kRealFileSystem.truncate(file, bytes); },
    .fsync = [](int) { return fails() ? -1 : 0; },  // what a power cut would take is another test's subject
    .close = faulty_close,
    .rename = [](const char* from, const char* to) { return fails() ? -1 : kRealFileSystem.rename(from, to); },
    .exchange = [](const char* a, const char* b) { return fails() ? -1 : kRealFileSystem.exchange(a, b); },
    .unlink = [](const char* path) { return fails() ? -1 : kRealFileSystem.unlink(path); },
    .mkdir = [](const char* path, mode_t mode) { return fails() ? -1 : kRealFileSystem.mkdir(path, mode); },
    .rmdir = [](const char* path) { return fails() ? -1 : kRealFileSystem.rmdir(path); },
};

}  // namespace

FaultyDisk::FaultyDisk(FaultPlan p) : use_(kFaulty) {
  plan = p;
  count = 0;
}
FaultyDisk::~FaultyDisk() = default;
int64_t FaultyDisk::calls() { return count; }

}  // namespace hinoki
