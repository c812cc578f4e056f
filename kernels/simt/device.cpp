// Fills the device table (core/base/device.h) with the emulator.
#include "core/base/device.h"

#include <cstring>

#include "kernels/cuda/fault.h"
#include "kernels/simt/device_memory.h"
#include "kernels/simt/queue.h"

namespace hinoki::simt {
namespace {

void copy_in(void* to, const void* host, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  require_idle(stream, "copy to the device");
  const DeviceAccess access;
  device_writes(to, bytes, "copy to the device");
  std::memcpy(to, host, bytes);
}

void copy_out(void* host, const void* from, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  require_idle(stream, "copy from the device");
  {
    const DeviceAccess access;
    device_holds(from, bytes, "copy from the device");
    std::memcpy(host, from, bytes);
  }
  kernels::check_faults(stream);
}

bool peek(void* host, const void* from, size_t bytes, Stream) noexcept {
  try {
    const DeviceAccess access;
    device_holds(from, bytes, "peek");
    std::memcpy(host, from, bytes);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void copy(void* to, const void* from, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  require_idle(stream, "copy on the device");
  const DeviceAccess access;
  device_holds(from, bytes, "copy on the device");
  device_writes(to, bytes, "copy on the device");
  std::memcpy(to, from, bytes);
}

void fill(void* to, unsigned char value, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  require_idle(stream, "fill on the device");
  const DeviceAccess access;
  device_writes(to, bytes, "fill on the device");
  std::memset(to, value, bytes);
}

void synchronize(Stream stream) {
  require_idle(stream, "waiting for a stream");
  kernels::check_faults(stream);
}

constexpr DeviceTable kTable{
    .name = "emulated GPU",
    .every_block_its_own = true,
    .allocate = allocate_device,
    .release = release_device,
    .free_memory = [] { return device_limit() - device_used(); },
    .total_memory = device_limit,
    .copy_in = copy_in,
    .copy_out = copy_out,
    .copy = copy,
    .fill = fill,
    .synchronize = synchronize,
    .make_stream = make_stream,
    .release_stream = release_stream,
    .make_event = make_event,
    .release_event = release_event,
    .record = record,
    .passed = passed,
    .await = await,
    .peek = peek,
    .forget = forget_device,
};

const bool ready = (cuda_device = &kTable, true);

}  // namespace
}  // namespace hinoki::simt
