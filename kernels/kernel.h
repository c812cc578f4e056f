// A named operation with one slot per device, and on the CPU per instruction set. What a build lacks is an empty slot,
// so there is nothing to stub out: calling an empty slot says what is missing.
#pragma once
#include <array>

#include "core/base/check.h"
#include "core/base/dtype.h"
#include "core/base/isa.h"
#include "core/base/stream.h"

namespace hinoki::kernels {

template <class Args>
class Kernel {
 public:
  using Function = void (*)(const Args&, Stream);
  constexpr explicit Kernel(const char* name) : name_(name) {}  // constexpr: slots exist before any file fills them

  bool provide(Target t, Function f) { return (slots_[static_cast<int>(t)] = f), true; }  // a CPU kernel
  bool provide(Device, Function f) { return (slots_[kTargets] = f), true; }               // a CUDA kernel

  void run(Device d, Stream s, const Args& args) const {
    const Function f = d == Device::cpu ? slots_[static_cast<int>(active_target())] : slots_[kTargets];
    require(f != nullptr, name_, ": this build has no kernel for ",
            d == Device::cpu ? name_of(active_target()) : name_of(d));
    f(args, s);
  }

  const char* name() const { return name_; }
  bool has(Target t) const { return slots_[static_cast<int>(t)] != nullptr; }

 private:
  const char* name_;
  std::array<Function, kTargets + 1> slots_{};
};

}  // namespace hinoki::kernels
