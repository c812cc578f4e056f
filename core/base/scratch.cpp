#include "core/base/scratch.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdlib>

#include "core/base/arena.h"
#include "core/base/device.h"

namespace hinoki {
namespace {

constexpr int kSlots = 8;
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
    const size_t unit = bytes >= Arena::kHugePage / 2 ? Arena::kHugePage : 4096,
                 rounded = (bytes + unit - 1) / unit * unit;
    std::free(b.data);
    total -= b.bytes;
    b.bytes = 0;
    b.data = std::aligned_alloc(unit, rounded);
    if (b.data == nullptr) fail_out_of_memory(Device::cpu, rounded, "the inside of a kernel");
    // Pages in the order they happen to come collide in the second-level cache.
    if (unit == Arena::kHugePage) madvise(b.data, rounded, MADV_HUGEPAGE);
    b.bytes = rounded;
    total += rounded;
  }
  return b.data;
}

size_t scratch_total() { return total; }

}  // namespace hinoki
