// Bad values that only a kernel sees: an id outside of its table, a logit that is not finite. The kernel notes the
// first place and goes on with something harmless; the program gets the error when it next waits for the device.
#pragma once
#include <string>

#include "core/base/check.h"
#include "kernels/cuda/simt.h"

namespace hinoki::kernels {

struct Fault {
  int64_t place, limit;
  int32_t value;
};

// What a kernel can find, and what to say of it. Kept by address: one object for each kind, of static lifetime.
struct FaultKind {
  Exit code;
  std::string (*describe)(const Fault&);
};

// Where on the device a launch on `stream` notes a fault; asked for right before the launch, since waiting for the
// device in between would count as having looked. `limit` comes back in the description.
using FaultWord = unsigned long long*;
FaultWord fault_word(Stream stream, const FaultKind& kind, int64_t limit);

// Keeps the fault at the smallest place, below 2^32.
__device__ inline void report_fault(FaultWord word, int64_t place, int32_t value) {
  atomicMin(word, static_cast<unsigned long long>(place) << 32 | static_cast<uint32_t>(value));
}

// Throws what this thread's launches on `stream` have found since the last call. For the device table: copy_out and
// synchronize call it when the stream's work is done. It costs nothing if no such kernel was launched meanwhile.
void check_faults(Stream stream);

}  // namespace hinoki::kernels
