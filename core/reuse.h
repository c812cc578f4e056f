// Memory of a tensor that is used up, a gradient mostly: an op writes its result over it and spares an allocation and a
// stream of writes.
#pragma once
#include "core/tensor.h"

namespace hinoki {

// x itself where nobody else sees its memory, else new memory of its shape. For kernels that may work in place.
inline Tensor reuse(const Tensor& x) {
  return x.contiguous() && x.storage().use_count() == 1 ? x.detach() : empty_like(x);
}

}  // namespace hinoki
