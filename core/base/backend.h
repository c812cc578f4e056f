// The CUDA backend: a shared library beside the program that fills the CUDA slots of the kernels and the device table
// (device.h). It is loaded when somebody asks for a GPU and not before, so one program starts in milliseconds on any
// machine. In an emulated build both are there from the start, and nothing is loaded.
#pragma once
#include <string>

namespace hinoki {

struct DeviceTable;

// What the library exports, as hinoki_cuda_backend.
struct CudaBackend {
  const char* version;                     // of the program that it was built with
  const DeviceTable* (*start)(int index);  // makes GPU number `index` this process's; throws Error{usage} if it cannot
  const void* (*address)(const char* name);  // where the library sees a kernel's slots, or "cuda_device"; null: unknown
};

// Makes Device::cuda ready on GPU number `index`. Throws Error{usage} that says what is missing and how to get it.
// Asking again costs nothing.
void require_cuda(int index = 0);

// The same as an answer: empty if Device::cuda is ready, else what is missing.
std::string why_no_cuda(int index = 0);

// The loaded library; null before require_cuda() and where nothing is loaded.
const CudaBackend* cuda_backend();

}  // namespace hinoki
