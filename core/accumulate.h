// Sums of gradients that meet.
#pragma once
#include "core/autograd.h"

namespace hinoki {

// sum += grad; an undefined sum becomes grad itself. In place only where nobody else can see the memory.
void accumulate(Tensor& sum, Tensor grad);
void accumulate(Leaf& leaf, Tensor grad);

}  // namespace hinoki
