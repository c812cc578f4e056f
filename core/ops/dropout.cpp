// Dropout whose mask is a function: the backward pass asks for it again.
#include "kernels/dropout.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {

Tensor dropout(const Tensor& x, double p, const RandomKey& key, int64_t first_index, const Tensor& residual) {
  require(p >= 0 && p < 1, "dropout: p = ", p, " is not in [0, 1)");
  require(x.contiguous(), "dropout: x of shape ", x.shape(), " is not contiguous");
  require(!residual.defined() || (residual.shape() == x.shape() && residual.contiguous()), "dropout: x is ", x.shape(),
          ", the residual ", residual.shape());
  if (p == 0) return residual.defined() ? add(x, residual) : x;
  const auto run = [=, count = x.numel(), dtype = x.dtype(), device = x.device(), stream = x.stream()](
                       const void* from, const void* plus, void* to) {
    kernels::dropout.run(device, stream,
                         {.x = from,
                          .residual = plus,
                          .y = to,
                          .count = count,
                          .first_index = first_index,
                          .p = p,
                          .key = key,
                          .dtype = dtype});
  };
  Tensor y = empty_like(x);
  run(x.data(), residual.defined() ? residual.data() : nullptr, y.data());
  return differentiable(y, {x, residual}, [run, added = residual.defined()](const Tensor& dy) -> Grads {
    const Tensor dx = added ? empty_like(dy) : reuse(dy);
    run(dy.data(), nullptr, dx.data());
    return {dx, added ? dy : Tensor()};
  });
}

}  // namespace hinoki
