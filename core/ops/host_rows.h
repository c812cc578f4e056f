// Ops over few numbers, a handful for each sequence: computed in f64 on the CPU, one after the other, wherever they lie.
#pragma once
#include <cmath>

#include "core/ops.h"

namespace hinoki {

// x in f64 on the CPU. f32 is the way to and from bf16.
inline Tensor host_rows(const Tensor& x) {
  const Tensor here = to_device(contiguous(x.detach()), Device::cpu);
  return here.dtype() == DType::f64 ? here : cast(cast(here, DType::f32), DType::f64);
}
// What came of them, f64 on the CPU, in the dtype and on the device of what they came from.
inline Tensor back_to(const Tensor& values, DType dtype, Device device) {
  if (dtype == DType::f64) return to_device(values, device);
  return to_device(cast(cast(values, DType::f32), dtype), device);
}

// log(1 + e^x), without overflow.
inline double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
inline double sigmoid(double x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

}  // namespace hinoki
