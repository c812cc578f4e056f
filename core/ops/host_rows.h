// Ops over few numbers, a handful for each sequence: computed in f64 on the CPU, one after the other, wherever they lie.
#pragma once
#include <cmath>

#include "core/ops.h"

namespace hinoki {

inline Tensor host_rows(const Tensor& x) {
  const Tensor here = to_device(contiguous(x.detach()), Device::cpu);
  return here.dtype() == DType::f64 ? here : cast(here, DType::f64);
}
// What came of them, f64 on the CPU, back to where `like` lies and in its dtype.
inline Tensor back_to(const Tensor& values, const Tensor& like) {
  return to_device(values.dtype() == like.dtype() ? values : cast(values, like.dtype()), like.device());
}

// log(1 + e^x), without overflow.
inline double softplus(double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
inline double sigmoid(double x) { return x > 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

}  // namespace hinoki
