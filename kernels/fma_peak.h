// What the arithmetic units can do at most: independent chains of fused multiply-adds in registers, no memory.
#pragma once
#include "kernels/kernel.h"

namespace hinoki::kernels {

struct FmaPeak {
  int64_t rounds;
  float* sink;    // one value, so that nothing is optimised away
  double* flops;  // done, an addition and a multiplication each
};

inline Kernel<FmaPeak> fma_peak{"fma_peak"};

}  // namespace hinoki::kernels
