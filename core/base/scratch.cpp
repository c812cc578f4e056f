#include "core/base/scratch.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdlib>

#include "core/base/device.h"

namespace hinoki {
namespace {

constexpr int kSlots = 8;
// Large blocks ask for huge pages: pages in the order they happen to come collide in the second-level cache.
constexpr size_t kHuge = size_t{2} << 20;
std::atomic<size_t> total{0};

struct Buffer {
  void* data = nullptr;
  size_t bytes = 0;
  ~Buffer() {
    std::free(data);
    total -= bytes;
  }
};

thread_local std::array<Buffer, kSlots> buffers;

}  // namespace

void* scratch_bytes(int slot, size_t bytes) {
  Buffer& b = buffers.at(slot);
  if (b.bytes < bytes) {
    const size_t unit = bytes >= kHuge / 2 ? kHuge : 4096, rounded = (bytes + unit - 1) / unit * unit;
    std::free(b.data);
    total -= b.bytes;
    b.bytes = 0;
    b.data = std::aligned_alloc(unit, rounded);
    if (b.data == nullptr) fail_out_of_memory(Device::cpu, rounded, "the inside of a kernel");
    if (unit == kHuge) madvise(b.data, rounded, MADV_HUGEPAGE);
    b.bytes = rounded;
    total += rounded;
  }
  return b.data;
}

size_t scratch_total() { return total; }

}  // namespace hinoki
