// Memory for the inside of one kernel call: aligned, per thread, grown once and kept. Kernels allocate nothing else.
#pragma once
#include <cstddef>

namespace hinoki {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector

// At least `bytes`, 64-byte aligned, valid until the same thread asks for the same slot again. Slots keep two uses on
// one call path apart (say, a kernel that packs operands and the one that calls it).
void* scratch_bytes(int slot, size_t bytes);

template <class T>
T* scratch(int slot, size_t count) {
  return static_cast<T*>(scratch_bytes(slot, count * sizeof(T)));
}

// Held by all threads now.
size_t scratch_total();

}  // namespace hinoki
