#include "tests/support/recorded_calls.h"

#include <mutex>

namespace hinoki {
namespace {

std::mutex mutex;
std::vector<DiskCall> recorded;

// Calls and remembers as one step, so that the order of the records is that of the disk.
template <class Call>
auto remember(Call call, DiskCall record) {
  const std::lock_guard lock(mutex);
  const auto result = call();
  if (result < 0) return result;
  if (record.kind == DiskCall::open) record.file = int(result);
  if (record.kind == DiskCall::pwrite) record.bytes.resize(size_t(result));
  recorded.push_back(std::move(record));
  return result;
}

constexpr FileSystem kRecording = {
    .open =
        [](const char* path, int flags, mode_t mode) {
          return remember([&] { return kRealFileSystem.open(path, flags, mode); },
                          {.kind = DiskCall::open, .path = path, .flags = flags});
        },
    .pwrite =
        [](int file, const void* data, size_t bytes, off_t offset) {
          return remember([&] { return kRealFileSystem.pwrite(file, data, bytes, offset); },
                          {.kind = DiskCall::pwrite,
                           .file = file,
                           .offset = offset,
                           .bytes = std::string(static_cast<const char*>(data), bytes)});
        },
    .truncate =
        [](int file, off_t bytes) {
          return remember([&] { return kRealFileSystem.truncate(file, bytes); },
                          {.kind = DiskCall::truncate, .file = file, .offset = bytes});
        },
    // The simulated disk decides what a flush has saved; the real one need not be waited for.
    .fsync = [](int file) { return remember([] { return 0; }, {.kind = DiskCall::fsync, .file = file}); },
    .close =
        [](int file) {
          return remember([&] { return kRealFileSystem.close(file); }, {.kind = DiskCall::close, .file = file});
        },
    .rename =
        [](const char* from, const char* to) {
          return remember([&] { return kRealFileSystem.rename(from, to); },
                          {.kind = DiskCall::rename, .path = from, .other = to});
        },
    .exchange =
        [](const char* a, const char* b) {
          return remember([&] { return kRealFileSystem.exchange(a, b); },
                          {.kind = DiskCall::exchange, .path = a, .other = b});
        },
    .unlink =
        [](const char* path) {
          return remember([&] { return kRealFileSystem.unlink(path); }, {.kind = DiskCall::unlink, .path = path});
        },
    .mkdir =
        [](const char* path, mode_t mode) {
          return remember([&] { return kRealFileSystem.mkdir(path, mode); }, {.kind = DiskCall::mkdir, .path = path});
        },
    .rmdir =
        [](const char* path) {
          return remember([&] { return kRealFileSystem.rmdir(path); }, {.kind = DiskCall::rmdir, .path = path});
        },
};

}  // namespace

RecordedCalls::RecordedCalls() : use_(kRecording) {
  const std::lock_guard lock(mutex);
  recorded.clear();
}
RecordedCalls::~RecordedCalls() = default;

std::vector<DiskCall> RecordedCalls::calls() {
  const std::lock_guard lock(mutex);
  return recorded;
}

}  // namespace hinoki
