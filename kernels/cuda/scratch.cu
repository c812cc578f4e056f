// Scratch by way of the device table, so that the GPU and the emulator share it.
#include <map>

#include "core/base/device.h"
#include "kernels/cuda/scratch.h"

namespace hinoki::kernels {
namespace {

class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  ~Block() { release(); }

  // The emulator checks each use by itself: there, a block is fresh and has the size that was asked for.
  void* take(const DeviceTable& device, Stream stream, size_t bytes, size_t element) {
    if (bytes <= bytes_ && !device.every_block_its_own) return data_;
    if (data_ != nullptr) device.synchronize(stream);  // a kernel may still be using it
    release();
    device_ = &device;
    const size_t rounded = device.every_block_its_own ? bytes : (bytes + bytes / 4 + 65535) / 65536 * 65536;
    data_ = allocate_beside(device, rounded, element, "the inside of a kernel");
    bytes_ = rounded;
    return data_;
  }

 private:
  void release() {
    if (data_ != nullptr) device_->release(data_);
    data_ = nullptr;
    bytes_ = 0;
  }

  const DeviceTable* device_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

thread_local std::map<void*, Block> blocks;  // of each stream

}  // namespace

void* cuda_scratch(Stream stream, size_t bytes, size_t element) {
  return blocks[stream.handle].take(device_table(Device::cuda), stream, bytes, element);
}

}  // namespace hinoki::kernels
