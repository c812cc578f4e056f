// Refusing, before anything is launched, what this GPU has too little shared memory for.
#pragma once
#include "core/base/check.h"
#include "kernels/cuda/simt.h"
#include "kernels/kernel.h"

namespace hinoki::kernels {

// `bytes`: static and dynamic, of a block. `what`: what asks for so many, "heads of 128 elements in bf16", say.
inline void require_shared(size_t bytes, const std::string& what) {
  require(bytes <= simt::shared_limit(), running_kernel, ": ", what, " take ", bytes,
          " bytes of shared memory a block; this GPU has ", simt::shared_limit());
}

}  // namespace hinoki::kernels
