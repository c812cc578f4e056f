// GELU by itself. Where a bias or a product stands beside it, gelu_mlp and conv1d take it along.
#include "core/ops.h"
#include "core/reuse.h"
#include "kernels/unary.h"

namespace hinoki {

Tensor gelu(const Tensor& x_in, Gelu form) {
  const Tensor x = contiguous(x_in), y = empty_like(x);
  const auto& forward = form == Gelu::erf ? kernels::unary<kernels::Gelu> : kernels::unary<kernels::GeluTanh>;
  const auto& backward =
      form == Gelu::erf ? kernels::unary_grad<kernels::Gelu> : kernels::unary_grad<kernels::GeluTanh>;
  forward.run(x.device(), x.stream(), {.x = x.data(), .y = y.data(), .count = x.numel(), .dtype = x.dtype()});
  return differentiable(y, {x}, [x = Saved(x), &backward](const Tensor& dy) -> Grads {
    require(dy.contiguous(), "gelu: gradient of shape ", dy.shape(), " is not contiguous");
    const Tensor dx = reuse(dy);
    backward.run(dx.device(), dx.stream(),
                 {.dy = dy.data(), .x = x->data(), .dx = dx.data(), .count = dx.numel(), .dtype = dx.dtype()});
    return {dx};
  });
}

}  // namespace hinoki
