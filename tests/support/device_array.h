// An array on the CUDA device of this build (a GPU or the emulator), for tests.
#pragma once
#include <vector>

#include "core/base/device.h"

namespace hinoki::test {

template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(int64_t count)
      : count_(count), data_(static_cast<T*>(table().allocate(size_t(count) * sizeof(T), sizeof(T)))) {
    require(data_ != nullptr, "out of device memory: ", count, " elements");
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(int64_t(values.size())) { set(values); }
  DeviceArray(const DeviceArray&) = delete;
  ~DeviceArray() { table().release(data_); }

  T* data() const { return data_; }
  int64_t size() const { return count_; }
  void set(const std::vector<T>& values) const {
    require(int64_t(values.size()) == count_, values.size(), " values for ", count_, " elements");
    table().copy_in(data_, values.data(), size_t(count_) * sizeof(T), {});
  }
  std::vector<T> values() const {
    std::vector<T> all(static_cast<size_t>(count_));
    table().copy_out(all.data(), data_, size_t(count_) * sizeof(T), {});
    return all;
  }

 private:
  static const DeviceTable& table() { return device_table(Device::cuda); }
  int64_t count_;
  T* data_;
};

}  // namespace hinoki::test
