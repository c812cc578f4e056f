// From a dtype to the type of a CUDA kernel's elements.
#pragma once
#include "core/base/check.h"
#include "core/base/dtype.h"

namespace hinoki::kernels {

// Calls f.template operator()<T>() with T = float or bf16.
template <class F>
void visit_cuda_float(const char* kernel, DType t, F&& f) {
  if (t == DType::bf16) return f.template operator()<bf16>();
  require(t == DType::f32, kernel, ": CUDA kernels compute in f32 or bf16, not ", t);
  f.template operator()<float>();
}

}  // namespace hinoki::kernels
