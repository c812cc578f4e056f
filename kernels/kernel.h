// A named operation with one slot per device, and on the CPU per instruction set. What a build lacks is an empty slot,
// so there is nothing to stub out: calling an empty slot says what is missing.
#pragma once
#include <array>
#include <atomic>

#include "core/base/check.h"
#include "core/base/dtype.h"
#include "core/base/isa.h"
#include "core/base/stream.h"

namespace hinoki::kernels {

// What can be said of any kernel. Kernels that some file provides are on one list, in no particular order.
struct KernelRecord {
  const char* name;
  bool on_cpu = false, on_cuda = false;              // is a slot filled
  mutable std::atomic<bool> has_run_on_cuda{false};  // for the tests' own coverage
  KernelRecord* next = nullptr;
};
inline KernelRecord* all_kernels = nullptr;

// Which of them this thread has begun last on CUDA: who shares code with others is refused by its own name.
inline thread_local const char* running_kernel = "no kernel";

template <class Args>
class Kernel : KernelRecord {
 public:
  using Function = void (*)(const Args&, Stream);
  constexpr explicit Kernel(const char* what)
      : KernelRecord{what} {}  // constexpr: slots exist before any file fills them

  bool provide(Target t, Function f) { return fill(static_cast<int>(t), f, on_cpu); }  // a CPU kernel
  bool provide(Device, Function f) { return fill(kTargets, f, on_cuda); }              // a CUDA kernel

  void run(Device d, Stream s, const Args& args) const {
    const Function f = d == Device::cpu ? slots_[static_cast<int>(active_target())] : slots_[kTargets];
    require(f != nullptr, KernelRecord::name, ": this build has no kernel for ",
            d == Device::cpu ? name_of(active_target()) : name_of(d));
    if (d == Device::cuda) {
      has_run_on_cuda.store(true, std::memory_order_relaxed);
      running_kernel = KernelRecord::name;
    }
    f(args, s);
  }

  const char* name() const { return KernelRecord::name; }
  bool has(Target t) const { return slots_[static_cast<int>(t)] != nullptr; }
  const KernelRecord* record() const { return this; }

 private:
  bool fill(int slot, Function f, bool& filled) {
    if (!on_cpu && !on_cuda) {
      next = all_kernels;
      all_kernels = this;
    }
    slots_[slot] = f;
    return filled = true;
  }

  std::array<Function, kTargets + 1> slots_{};
};

}  // namespace hinoki::kernels
