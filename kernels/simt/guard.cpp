#include "kernels/simt/guard.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "kernels/simt/device_memory.h"
#include "kernels/simt/engine.h"

namespace hinoki::simt {
namespace {

constexpr size_t kStackBytes = 64 * 1024;  // of the handler, since a fiber's may be full

void explain(int signal, siginfo_t* info, void*) {
  const auto* p = static_cast<const char*>(info->si_addr);
  char text[300];
  int length = 0;
  if (engine != nullptr && engine->stacks.overflown(p)) {
    length = std::snprintf(text, sizeof text, "emulator: a kernel's thread has overflown its stack of 128 KiB\n");
  } else if (in_device_memory(p)) {
    const Region* r = find_device(p);
    length =
        std::snprintf(text, sizeof text,
                      "emulator: host code touched device memory at %p (byte %td of a block of %zu bytes); copy it "
                      "with the functions of core/base/device.h\n",
                      info->si_addr, r != nullptr ? p - r->base : 0, r != nullptr ? r->bytes : 0);
  }
  // The access is tried again and ends the program.
  if (write(STDERR_FILENO, text, size_t(length)) <= length) ::signal(signal, SIG_DFL);
}

bool install() {
  struct sigaction action = {};
  action.sa_sigaction = explain;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  return sigaction(SIGSEGV, &action, nullptr) == 0;
}

}  // namespace

void explain_faults() {
  [[maybe_unused]] static const bool installed = install();
  thread_local std::unique_ptr<char[]> stack;
  if (stack != nullptr) return;
  stack = std::make_unique<char[]>(kStackBytes);
  stack_t description = {};
  description.ss_sp = stack.get();
  description.ss_size = kStackBytes;
  sigaltstack(&description, nullptr);
}

}  // namespace hinoki::simt
