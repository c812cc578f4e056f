// GELU after a bias: the pre-activation is kept, the sum with the bias never stored.
#include "kernels/bias_gelu.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {

Tensor bias_gelu(const Tensor& x, const Tensor& bias, Gelu form) {
  require(x.contiguous() && x.rank() > 0, "bias_gelu: x of shape ", x.shape(), " is not contiguous");
  const int64_t cols = x.size(-1), rows = cols ? x.numel() / cols : 0;
  require(!bias.defined() || bias.shape() == Shape{cols}, "bias_gelu: bias is ", bias.shape(), ", x ends in ", cols);
  const auto kernel_form = form == Gelu::erf ? kernels::GeluForm::erf : kernels::GeluForm::tanh;
  Tensor y = empty_like(x);
  kernels::bias_gelu.run(x.device(), x.stream(),
                         {.x = x.data(),
                          .bias = bias.defined() ? bias.data() : nullptr,
                          .y = y.data(),
                          .rows = rows,
                          .cols = cols,
                          .form = kernel_form,
                          .dtype = x.dtype()});
  return differentiable(y, {x, bias},
                        [x = Saved(x), bias = Saved(bias), to_bias = Sink(bias, wide(x.dtype())), rows, cols,
                         kernel_form](const Tensor& dy) -> Grads {
                          const Tensor dx = reuse(dy);
                          const Sink::Target dbias = to_bias.open();
                          kernels::bias_gelu_grad.run(dy.device(), dy.stream(),
                                                      {.dy = dy.data(),
                                                       .x = x->data(),
                                                       .bias = bias->defined() ? bias->data() : nullptr,
                                                       .dx = dx.data(),
                                                       .dbias = dbias.data(),
                                                       .accumulate = dbias.accumulate,
                                                       .rows = rows,
                                                       .cols = cols,
                                                       .form = kernel_form,
                                                       .dtype = dy.dtype()});
                          return {dx, dbias};
                        });
}

}  // namespace hinoki
