// What a device with memory of its own offers to those who keep tensors there. The CUDA backend fills the table when it
// is loaded and finds a GPU; in an emulated build the emulator does. Without a table there is no such device.
#pragma once
#include <cstddef>
#include <string>

#include "core/base/dtype.h"
#include "core/base/stream.h"

namespace hinoki {

struct DeviceTable {
  const char* name;          // of the hardware
  bool every_block_its_own;  // blocks must not be reused or cut up (the emulator checks bounds and first writes by
                             // block)

  // `element` is the size of what the block will hold, for checkers. Null: out of memory.
  void* (*allocate)(size_t bytes, size_t element);
  void (*release)(void*);
  size_t (*free_memory)();
  size_t (*total_memory)();

  // In the order of the stream. What copy_in reads may be changed when it returns; copy_out returns when the bytes are
  // there, and reports what failed on the device before.
  void (*copy_in)(void* to, const void* host, size_t bytes, Stream);
  void (*copy_out)(void* host, const void* from, size_t bytes, Stream);
  void (*copy)(void* to, const void* from, size_t bytes, Stream);
  void (*fill)(void* to, unsigned char value, size_t bytes, Stream);
  void (*synchronize)(Stream);

  // Streams beside the null stream, which run at the same time as it and go before it where both want the hardware; and
  // events, which stand for all that a stream held when it was recorded there.
  Stream (*make_stream)();
  void (*release_stream)(Stream) noexcept;
  Event (*make_event)();
  void (*release_event)(Event) noexcept;
  void (*record)(Event, Stream);
  bool (*passed)(Event);  // does not wait
  void (*await)(Event);

  // For those who must not fail, such as destructors: false where the bytes cannot be had. What has failed on the
  // device is not reported here, and stays to be reported to whoever asks next.
  bool (*peek)(void* host, const void* from, size_t bytes, Stream) noexcept;

  // For checkers, which the hardware is not (null): what the block holds stays, but counts as never written.
  void (*forget)(void* block);
};

inline const DeviceTable* cuda_device = nullptr;

inline const DeviceTable& device_table(Device d) {
  require(d == Device::cuda, "device ", d, " has no table: its memory is the program's own");
  require<Exit::usage>(
      cuda_device != nullptr,
      "there is no CUDA device: this needs a machine with a GPU and a build with CUDA (cmake --preset cuda), or "
      "device = \"cpu\"");
  return *cuda_device;
}
// Thrown where memory runs out; what a run needs less of is for those to add who know the run.
struct OutOfMemory : Error {
  using Error::Error;
};
[[noreturn]] void fail_out_of_memory(Device device, size_t wanted, const std::string& what);

// Returns to the device what somebody keeps there only to use it again (core/storage.h).
inline void (*release_idle_memory)(Device) = nullptr;

// A block of the device beside those of tensors. Before it fails, what is idle goes.
void* allocate_beside(const DeviceTable& device, size_t bytes, size_t element, const char* what);

inline bool has_device(Device d) { return d == Device::cpu || cuda_device != nullptr; }

}  // namespace hinoki
