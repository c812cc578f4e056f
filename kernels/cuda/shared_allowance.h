// When a kernel must ask for its shared memory. A block may have 48 KiB, static and dynamic together; more only of a
// kernel whose dynamic part has been allowed before the launch (CUDA: cudaFuncAttributeMaxDynamicSharedMemorySize).
#pragma once
#include <cstddef>
#include <map>
#include <mutex>

namespace hinoki::simt {

constexpr size_t kSharedUnasked = 48 * 1024;

// What kernels have been allowed so far. It never shrinks: another host thread may have asked and be about to launch.
class SharedAllowances {
 public:
  // Before a launch with `dynamic` bytes: calls fixed() for the static bytes of a kernel not seen before, and
  // allow(static bytes, dynamic bytes) where the kernel has to be allowed more than so far. Both may throw.
  template <class Fixed, class Allow>
  void prepare(const void* kernel, size_t dynamic, Fixed&& fixed, Allow&& allow) {
    const std::lock_guard lock(mutex_);
    auto at = kernels_.find(kernel);
    if (at == kernels_.end()) at = kernels_.emplace(kernel, Shared{rounded(fixed()), 0}).first;
    Shared& shared = at->second;
    if (shared.fixed + dynamic <= kSharedUnasked || dynamic <= shared.allowed) return;
    allow(shared.fixed, dynamic);
    shared.allowed = dynamic;
  }

 private:
  struct Shared {
    size_t fixed, allowed;
  };
  // The dynamic part begins at a multiple of 128 bytes (DYNAMIC_SHARED), which may leave a gap.
  static size_t rounded(size_t fixed) { return (fixed + 127) / 128 * 128; }

  std::mutex mutex_;
  std::map<const void*, Shared> kernels_;
};

}  // namespace hinoki::simt
