// Atomics.
#include <cstring>

#include "kernels/cuda/simt.h"
#include "kernels/simt/engine.h"

namespace hinoki::simt {

void note_atomic(void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) fault_alignment("atomic", p, int(bytes));
  check(p, bytes, Access::atomic, reinterpret_cast<uintptr_t>(__builtin_return_address(0)));
}

void raw_copy(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace hinoki::simt
