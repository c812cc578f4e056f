// Scratch by way of the device table, so that the GPU and the emulator share it.
#include <array>
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
  void* take(const DeviceTable& device, Stream stream, size_t bytes, size_t element, bool& fresh) {
    fresh = bytes > bytes_ || device.every_block_its_own;
    if (!fresh) return data_;
    if (data_ != nullptr) device.synchronize(stream);  // a kernel may still be using it
    release();
    device_ = &device;
    const size_t rounded = device.every_block_its_own ? bytes : (bytes + bytes / 4 + 65535) / 65536 * 65536;
    data_ = allocate_beside(device, rounded, element, "the inside of a kernel");
    bytes_ = rounded;
    return data_;
  }

  size_t bytes() const { return bytes_; }

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

thread_local std::map<void*, std::array<Block, 2>> blocks;  // of each stream: scratch, counters

}  // namespace

void* cuda_scratch(Stream stream, size_t bytes, size_t element) {
  bool fresh = false;
  return blocks[stream.handle][0].take(device_table(Device::cuda), stream, bytes, element, fresh);
}

unsigned* cuda_counters(Stream stream, size_t count) {
  const DeviceTable& device = device_table(Device::cuda);
  Block& block = blocks[stream.handle][1];
  bool fresh = false;
  void* data = block.take(device, stream, count * sizeof(unsigned), sizeof(unsigned), fresh);
  if (fresh) device.fill(data, 0, block.bytes(), stream);
  return static_cast<unsigned*>(data);
}

}  // namespace hinoki::kernels
