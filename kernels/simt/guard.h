// Tells why the program is about to die where host code touched device memory, or a kernel's thread used up its stack.
#pragma once

namespace hinoki::simt {

// To be called by a thread before it first allocates device memory or launches.
void explain_faults();

}  // namespace hinoki::simt
