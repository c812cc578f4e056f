// CUDA's device vocabulary on the CPU: each CUDA thread is a fiber, and one host thread runs one block at a time.
// Kernel files get this through kernels/cuda/simt.h.
#pragma once
#include "kernels/simt/device_names.h"
#include "kernels/simt/instructions.h"
#include "kernels/simt/launch.h"
#include "kernels/simt/vector_types.h"
