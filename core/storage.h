// Bytes on a device, shared by the tensors that view them and returned to a cache when the last one is gone.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/base/dtype.h"

namespace hinoki {

// Somebody who fills a storage from another thread.
class Arrival {
 public:
  virtual ~Arrival() = default;
  // Returns when bytes [begin, end) are there; throws what the filling has failed with.
  virtual void wait(size_t begin, size_t end) = 0;
};

class Storage {
 public:
  // 64-byte aligned, contents undefined. `element`: the size of what it will hold, for checkers of device memory.
  static std::shared_ptr<Storage> allocate(size_t bytes, Device device = Device::cpu, size_t element = 1);
  // Memory that somebody else keeps (a mapped file, say) for as long as `owner` lives.
  static std::shared_ptr<Storage> wrap(void* data, size_t bytes, std::shared_ptr<const void> owner);
  // Memory to come: tensors may be cut out of it before it is known how large it is.
  static std::shared_ptr<Storage> reserve(Device device = Device::cpu);
  void fulfil(size_t bytes, size_t element = 1);
  // Changes the memory of two storages of one device and size: every tensor that views one then views the other's bytes.
  void swap(Storage& other);
  Storage(const Storage&) = delete;

  void* data() const { return data_; }  // of the device: the program reads it only where device() is the CPU
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

  // While it is being filled, whoever asks a tensor in it for its memory waits for that part. nullptr: all is there.
  void set_arrival(Arrival* arrival) { arrival_.store(arrival, std::memory_order_release); }
  Arrival* arrival() const { return arrival_.load(std::memory_order_acquire); }

  // Raised by whoever writes into a tensor that others may have saved for their backward pass.
  uint64_t version() const { return version_; }
  void touch() { ++version_; }

 private:
  explicit Storage(Device device) : device_(device) {}
  Device device_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
  uint64_t version_ = 0;
  std::atomic<Arrival*> arrival_ = nullptr;
  std::shared_ptr<const void> owner_;
};

// What tensors on a device hold now, the most they held since the last reset, and what waits in the cache.
struct MemoryUse {
  size_t live = 0, peak = 0, cached = 0;
};
MemoryUse memory_use(Device device = Device::cpu);
void reset_peak_memory(Device device = Device::cpu);
void release_cached_memory(Device device = Device::cpu);

// In the order of the device's stream; copies go between any two places.
void fill_bytes(void* to, unsigned char value, size_t bytes, Device device);
void copy_bytes(void* to, Device to_device, const void* from, Device from_device, size_t bytes);

// Puts a pattern before and after every block allocated from now on and checks it when the block is returned.
// Tests switch this on and expect the number of broken bands to stay zero.
void set_guard_bands(bool on);
int64_t broken_guard_bands();

}  // namespace hinoki
