// Atomics, and the order between blocks that a kernel may rely on.
#include <cstring>

#include "kernels/cuda/simt.h"
#include "kernels/simt/engine.h"

namespace hinoki::simt {

void note_atomic(void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) fault_alignment("atomic", p, int(bytes));
  check(p, bytes, Access::atomic, reinterpret_cast<uintptr_t>(__builtin_return_address(0)));
}

void raw_copy(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

bool last_block(unsigned* counter, Site site) {
  Engine& e = *engine;
  const dim3 g = e.launch->grid;
  block_barrier(Vote::none, 0, site);
  const bool first_thread = e.self->index == 0;
  bool last = false;
  if (first_thread) {
    check(counter, sizeof *counter, Access::atomic, reinterpret_cast<uintptr_t>(__builtin_return_address(0)));
    last = ++*counter == g.x * g.y * g.z;
    if (last) {
      *counter = 0;
      e.seen = next_interval();
    }
  }
  return block_barrier(Vote::any, int(last), site) != 0;
}

}  // namespace hinoki::simt
