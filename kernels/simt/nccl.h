// The twin of NCCL (core/base/nccl.h), for ranks that are threads of one process and share the emulated GPU.
#pragma once
#include "core/base/nccl.h"

namespace hinoki::simt {

// Communicators that nobody has destroyed or aborted yet.
int nccl_communicators();

}  // namespace hinoki::simt
