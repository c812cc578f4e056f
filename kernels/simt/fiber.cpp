// Fiber stacks and the switch between them (System V calling convention on x86-64).
#include "kernels/simt/fiber.h"

#include <sys/mman.h>

#include "core/base/check.h"

// Keeps what a function call must preserve on the old stack and takes it from the new one.
asm(R"(.text
.globl hinoki_switch_fiber
.type hinoki_switch_fiber,@function
hinoki_switch_fiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size hinoki_switch_fiber,.-hinoki_switch_fiber
)");

namespace hinoki::simt {
namespace {
constexpr size_t kPage = 4096;
}

Stacks::Stacks(int count) : bytes_(size_t(count) * kBytes) {
  void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(p != MAP_FAILED, "emulator: no memory for ", count, " stacks");
  memory_ = static_cast<char*>(p);
  for (int i = 0; i < count; ++i) mprotect(memory_ + size_t(i) * kBytes, kPage, PROT_NONE);
}

Stacks::~Stacks() { munmap(memory_, bytes_); }

bool Stacks::overflown(const void* p) const {
  return contain(p) && size_t(static_cast<const char*>(p) - memory_) % kBytes < kPage;
}

void* Stacks::prepare(int i, void (*main)()) {
  // Spread over the cache's sets: otherwise the same local variable of all threads would share one.
  char* end = memory_ + size_t(i + 1) * kBytes - size_t(i % 32) * 320;
  auto** top = reinterpret_cast<void**>(end) - 2;
  top[1] = nullptr;  // main has no caller
  top[0] = reinterpret_cast<void*>(main);
  return top - 6;  // the six registers may hold anything
}

}  // namespace hinoki::simt
