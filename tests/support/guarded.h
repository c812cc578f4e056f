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
    const std::vector<T> band(kGuard, T(kCanary));
    const auto same = [&](const T* at) { return std::memcmp(at, band.data(), kGuard * sizeof(T)) == 0; };
    if (same(all_.data()) && same(all_.data() + kGuard + size_)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "written outside the buffer, " << (same(all_.data()) ? "after" : "before");
  }

  std::vector<T>& with_bands() { return all_; }
  static constexpr int64_t kGuard = 64;

 private:
  static constexpr int kCanary = 12345;
  int64_t size_;
  std::vector<T> all_;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace hinoki
