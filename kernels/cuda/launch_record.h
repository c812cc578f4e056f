// The kernel that a thread launched last, kept for errors: the GPU reports what failed only later, at another call.
#pragma once
#include <cuda_runtime_api.h>
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "core/base/check.h"

namespace hinoki::simt {

struct Launch {
  const void* kernel = nullptr;
  dim3 grid, block;
  size_t shared_bytes = 0;
};
inline thread_local Launch last_launch;

inline std::string kernel_name(const void* kernel) {
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess || mangled == nullptr) return "a kernel";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> plain(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                     std::free);
  return status == 0 ? plain.get() : mangled;
}

inline std::string describe(const Launch& l) {
  if (l.kernel == nullptr) return "no kernel";
  return say(kernel_name(l.kernel), " with grid (", l.grid.x, ", ", l.grid.y, ", ", l.grid.z, "), block (", l.block.x,
             ", ", l.block.y, ", ", l.block.z, ") and ", l.shared_bytes, " bytes of dynamic shared memory");
}

inline void require_launched(cudaError_t error, const Launch& l) {
  if (error != cudaSuccess) cudaGetLastError();  // or the next launch reports it again
  require(error == cudaSuccess, "CUDA: ", describe(l), ": ", cudaGetErrorString(error));
}

// Before a launch that takes more shared memory than a kernel has by itself (kernels/cuda/shared_allowance.h).
void allow_shared(const Launch& l);

}  // namespace hinoki::simt
