// Memory of a gradient that is used up: a backward pass writes its result over it and spares an allocation and a
// stream of writes.
#pragma once
#include "core/tensor.h"

namespace hinoki {

// dy itself where nobody else sees its memory, else new memory of its shape. For kernels that may work in place.
inline Tensor reuse(const Tensor& dy) {
  return dy.contiguous() && dy.storage().use_count() == 1 ? dy.detach() : empty_like(dy);
}

}  // namespace hinoki
