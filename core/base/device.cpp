#include "core/base/device.h"

namespace hinoki {
namespace {

std::string size_text(size_t bytes) {
  return bytes >> 20 ? say((bytes >> 20) + ((bytes >> 19) & 1), " MiB") : say(bytes, " bytes");
}

}  // namespace

void fail_out_of_memory(Device device, size_t wanted, const std::string& what) {
  std::string message = say("out of memory on the ", device == Device::cpu ? "machine" : "GPU", ": ", size_text(wanted),
                            " asked for by ", what);
  if (device != Device::cpu) {
    const DeviceTable& table = device_table(device);
    message += say(", ", size_text(table.free_memory()), " of ", size_text(table.total_memory()), " free");
  }
  throw OutOfMemory(Exit::failure, message + "; smaller batches or shorter sequences need less");
}

void* allocate_beside(const DeviceTable& device, size_t bytes, size_t element, const char* what) {
  void* data = device.allocate(bytes, element);
  if (data == nullptr && release_idle_memory != nullptr) {
    release_idle_memory(Device::cuda);
    data = device.allocate(bytes, element);
  }
  if (data == nullptr) fail_out_of_memory(Device::cuda, bytes, what);
  return data;
}

}  // namespace hinoki
