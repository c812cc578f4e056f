// y = x W^T + b: one product forward, two backward.
#include "core/ops/linear_map.h"

namespace hinoki {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, WeightLayout layout) {
  const LinearMap map("linear", x, weight, bias, layout);
  Tensor y = map.output(x);
  kernels::gemm.run(x.device(), x.stream(), map.forward(x, weight, bias, y));
  return differentiable(
      y, {x, weight, bias},
      [x = Saved(x), weight = Saved(weight), to_x = Sink(x), to_weight = Sink(weight, wide(x.dtype())),
       to_bias = Sink(bias, wide(x.dtype())), map](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "linear: gradient of shape ", dy.shape(), " is not contiguous");
        const Sink::Target dx = to_x.open(), dweight = to_weight.open(), dbias = to_bias.open();
        if (to_x.wanted()) kernels::gemm.run(dy.device(), dy.stream(), map.backward(dy, *weight, dx));
        map.parameter_gradients(dy, to_weight.wanted() ? *x : Tensor(), dweight, dbias);
        return {dx, dweight, dbias};
      });
}

}  // namespace hinoki
