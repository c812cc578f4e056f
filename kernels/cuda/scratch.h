// Device memory for the inside of one kernel's launches: one block per stream and host thread, grown when needed.
#pragma once
#include <cstddef>

#include "core/base/stream.h"

namespace hinoki::kernels {

// 256-byte aligned, contents undefined, valid until the same thread asks again for the same stream. `element` is the
// size of what it will hold.
void* cuda_scratch(Stream stream, size_t bytes, size_t element = 4);

template <class T>
T* cuda_scratch(Stream stream, size_t count) {
  return static_cast<T*>(cuda_scratch(stream, count * sizeof(T), sizeof(T)));
}

}  // namespace hinoki::kernels
