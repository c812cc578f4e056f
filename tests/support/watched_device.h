// The CUDA device of this build (a GPU or the emulator) under watch: what leaves it is counted, and it may be short of
// memory.
#pragma once
#include <map>
#include <mutex>

#include "core/base/device.h"

namespace hinoki::test {

class WatchedDevice {
 public:
  // `as_hardware`: blocks are reused, and have guard bands, on the emulator as well. There each then counts as one of
  // 2-byte elements: it may come to hold what is narrower than what it was made for.
  explicit WatchedDevice(bool as_hardware = false) {
    real() = cuda_device;
    table() = *cuda_device;
    table().copy_out = [](void* host, const void* from, size_t bytes, Stream stream) {
      state().bytes_out += bytes;
      real()->copy_out(host, from, bytes, stream);
    };
    table().allocate = [](size_t bytes, size_t element) -> void* {
      State& s = state();
      const std::lock_guard lock(s.mutex);
      if (bytes > s.limit - std::min(s.limit, s.used)) return nullptr;
      void* data = real()->allocate(bytes, s.reused ? std::min<size_t>(element, 2) : element);
      if (data != nullptr) s.blocks[data] = bytes, s.used += bytes, s.peak = std::max(s.peak, s.used);
      return data;
    };
    table().release = [](void* data) {
      State& s = state();
      const std::lock_guard lock(s.mutex);
      if (const auto found = s.blocks.find(data); found != s.blocks.end()) {
        s.used -= found->second;
        s.blocks.erase(found);
      }
      real()->release(data);
    };
    table().every_block_its_own = real()->every_block_its_own && !as_hardware;
    table().free_memory = [] { return state().limit - std::min(state().limit, state().used); };
    state().limit = SIZE_MAX;
    state().bytes_out = 0;
    state().reused = as_hardware;
    reset_peak();
    cuda_device = &table();
  }
  // Whoever keeps a pointer to the table may use it after the watch.
  ~WatchedDevice() {
    table().copy_out = real()->copy_out;
    table().peek = real()->peek;
    state().limit = SIZE_MAX;
    state().reused = false;
    cuda_device = real();
  }
  WatchedDevice(const WatchedDevice&) = delete;

  size_t bytes_out() const { return state().bytes_out; }  // since it is watched
  size_t used() const { return state().used; }            // by blocks allocated under a watch
  size_t peak() const { return state().peak; }
  void reset_peak() { state().peak = state().used; }
  // Nothing can be read any more.
  void fail_from_now_on() const {
    table().copy_out = [](void*, const void*, size_t, Stream) { fail("the device has failed"); };
    table().peek = [](void*, const void*, size_t, Stream) noexcept { return false; };
  }
  void limit(size_t bytes) { state().limit = bytes; }

 private:
  struct State {
    std::mutex mutex;
    std::map<void*, size_t> blocks;
    size_t used = 0, peak = 0, limit = SIZE_MAX, bytes_out = 0;
    bool reused = false;
  };
  static State& state() {
    static State* const s = new State;
    return *s;
  }
  static DeviceTable& table() {
    static DeviceTable t;
    return t;
  }
  static const DeviceTable*& real() {
    static const DeviceTable* t = nullptr;
    return t;
  }
};

}  // namespace hinoki::test
