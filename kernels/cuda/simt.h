// The one header of a CUDA kernel file. Under nvcc it is a thin layer over CUDA; under a plain C++ compiler it selects
// the emulator, so that the very same source runs where there is no GPU. docs/kernels.md tells how to write for both.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/base/stream.h"

namespace hinoki::simt {
template <class T>
using Type = T;  // lets a macro argument be an array type: Type<float[8][33]>
constexpr unsigned kFullWarp = 0xffffffffu;
constexpr int kWarp = 32;

// Bytes of shared memory, static and dynamic together, that a block can have on this GPU: 227 KiB with compute
// capability 9.0, 163 KiB with 8.0, 99 KiB with 8.6 and 8.9.
size_t shared_limit();
}  // namespace hinoki::simt

#if defined(__CUDACC__)
#include "kernels/cuda/native.h"
#else
#include "kernels/simt/emulator.h"
#endif
