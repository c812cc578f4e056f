// cp.async, as late as the hardware is allowed to be.
#include <cstring>

#include "kernels/simt/engine.h"
#include "kernels/simt/instructions.h"

namespace hinoki::simt {
namespace {

uintptr_t caller(void* address) { return reinterpret_cast<uintptr_t>(address); }

// The copies are kept in standard containers: the checker looks away meanwhile.
struct Quiet {
  Quiet() { engine->quiet = true; }
  ~Quiet() { engine->quiet = false; }
};

void finish(const AsyncCopy& c, uintptr_t address) {
  check(c.to, 16, Access::write, address);
  if (c.valid) {
    check(c.from, 16, Access::read, address);
    std::memcpy(c.to, c.from, 16);
  } else {
    std::memset(c.to, 0, 16);
  }
}

}  // namespace

void cp_async16(void* to, const void* from, bool valid) {
  if (reinterpret_cast<uintptr_t>(to) % 16 != 0) fault_alignment("cp.async to", to, 16);
  if (valid && reinterpret_cast<uintptr_t>(from) % 16 != 0) fault_alignment("cp.async from", from, 16);
  const uintptr_t address = caller(__builtin_return_address(0));
  check(to, 16, Access::write, address);
  if (valid) check(from, 16, Access::read, address);
  std::memset(to, 0xff, 16);
  const Quiet quiet;
  engine->self->copies.push_back({to, from, valid});
}

void cp_async_commit() {
  const Quiet quiet;
  Thread& t = *engine->self;
  size_t committed = 0;
  for (const size_t size : t.group_sizes) committed += size;
  t.group_sizes.push_back(t.copies.size() - committed);
}

void cp_async_wait_pending(int pending) {
  const uintptr_t address = caller(__builtin_return_address(0));
  Thread& t = *engine->self;
  while (int(t.group_sizes.size()) > pending) {
    const size_t size = t.group_sizes.front();
    for (size_t i = 0; i < size; ++i) finish(t.copies[i], address);
    const Quiet quiet;
    t.copies.erase(t.copies.begin(), t.copies.begin() + ptrdiff_t(size));
    t.group_sizes.erase(t.group_sizes.begin());
  }
}

}  // namespace hinoki::simt
