#include "core/base/scratch.h"

#include <array>
#include <atomic>
#include <cstdlib>

#include "core/base/check.h"

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
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    std::free(b.data);
    total -= b.bytes;
    b.bytes = 0;
    b.data = std::aligned_alloc(kAlignment, rounded);
    require(b.data != nullptr, "out of memory: ", rounded, " bytes of scratch");
    b.bytes = rounded;
    total += rounded;
  }
  return b.data;
}

size_t scratch_total() { return total; }

}  // namespace hinoki
