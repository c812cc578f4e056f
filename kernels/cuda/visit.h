// From a dtype to the type of a CUDA kernel's elements.
#pragma once
#include "core/base/check.h"
#include "core/base/dtype.h"

namespace hinoki::kernels {

// Calls f.template operator()<T>() with T = float or bf16, the types of arrays on CUDA.
template <class F>
void visit_cuda_float(const char* kernel, DType t, F&& f) {
  require(t == DType::f32 || t == DType::bf16, kernel, ": arrays on CUDA are f32 or bf16, not ", t);
  t == DType::f32 ? f.template operator()<float>() : f.template operator()<bf16>();
}

}  // namespace hinoki::kernels
