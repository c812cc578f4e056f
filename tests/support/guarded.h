// An output buffer with canaries on both sides, to catch a kernel that writes past it.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace hinoki {

template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t size, T fill = T(-77)) : size_(size), all_(size + 2 * kGuard, T(kCanary)) {
    std::fill(begin(), end(), fill);
  }
  explicit Guarded(const std::vector<T>& values) : Guarded(int64_t(values.size())) {
    std::copy(values.begin(), values.end(), begin());
  }
  T* data() { return all_.data() + kGuard; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  std::vector<T> values() { return std::vector<T>(begin(), end()); }

  testing::AssertionResult intact() const {
    for (int64_t i = 0; i < kGuard; ++i)
      if (all_[i] != T(kCanary) || all_[kGuard + size_ + i] != T(kCanary))
        return testing::AssertionFailure()
               << "written outside the buffer, " << (all_[i] != T(kCanary) ? "before" : "after");
    return testing::AssertionSuccess();
  }

 private:
  static constexpr int64_t kGuard = 64;
  static constexpr int kCanary = 12345;
  int64_t size_;
  std::vector<T> all_;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace hinoki
