// y = gelu(x W1^T + b1) W2^T + b2. Of the four arrays [rows, inner] that come up, one is kept: u = x W1^T. GELU's
// output g exists between the products of the forward pass; the backward pass has it again from the pass over memory
// that makes GELU's gradient, which needs the same erf or exponential.
#include "core/ops/linear_map.h"
#include "core/reuse.h"
#include "kernels/bias_gelu.h"

namespace hinoki {

Tensor gelu_mlp(const Tensor& x, const MlpWeights& w, Gelu form) {
  const LinearMap up("gelu_mlp", x, w.up, w.up_bias, w.layout);
  Tensor u = up.output(x);
  const LinearMap down("gelu_mlp", u, w.down, w.down_bias, w.layout);
  const auto kernel_form = form == Gelu::erf ? kernels::GeluForm::erf : kernels::GeluForm::tanh;

  kernels::gemm.run(x.device(), x.stream(), up.forward(x, w.up, {}, u));
  const bool kept = recording({x, w.up, w.up_bias, w.down, w.down_bias});
  const Tensor g = kept ? empty_like(u) : u;
  kernels::bias_gelu.run(x.device(), x.stream(),
                         {.x = u.data(),
                          .bias = w.up_bias.defined() ? w.up_bias.data() : nullptr,
                          .y = g.data(),
                          .rows = up.rows,
                          .cols = up.out,
                          .form = kernel_form,
                          .dtype = x.dtype()});
  Tensor y = down.output(u);
  kernels::gemm.run(x.device(), x.stream(), down.forward(g, w.down, w.down_bias, y));

  const DType sums = wide(x.dtype());
  return differentiable(
      y, {x, w.up, w.up_bias, w.down, w.down_bias},
      [x = Saved(x), up_weight = Saved(w.up), up_bias = Saved(w.up_bias), down_weight = Saved(w.down), u,
       to_x = Sink(x), to_up = Sink(w.up, sums), to_up_bias = Sink(w.up_bias, sums), to_down = Sink(w.down, sums),
       to_down_bias = Sink(w.down_bias, sums), up, down, kernel_form](const Tensor& dy) mutable -> Grads {
        require(dy.contiguous(), "gelu_mlp: gradient of shape ", dy.shape(), " is not contiguous");
        const Tensor du = empty_like(u);  // first dg = dy W2
        kernels::gemm.run(dy.device(), dy.stream(), down.backward(dy, *down_weight, {.tensor = du}));
        Tensor g = reuse(u);  // u is used up
        const Sink::Target dup_bias = to_up_bias.open();
        kernels::bias_gelu_grad.run(dy.device(), dy.stream(),
                                    {.dy = du.data(),
                                     .x = u.data(),
                                     .bias = up_bias->defined() ? up_bias->data() : nullptr,
                                     .dx = du.data(),
                                     .y = to_down.wanted() ? g.data() : nullptr,
                                     .dbias = dup_bias.data(),
                                     .accumulate = dup_bias.accumulate,
                                     .rows = up.rows,
                                     .cols = up.out,
                                     .form = kernel_form,
                                     .dtype = dy.dtype()});
        const Sink::Target ddown = to_down.open(), ddown_bias = to_down_bias.open();
        down.parameter_gradients(dy, g, ddown, ddown_bias);
        g = u = {};
        const Sink::Target dup = to_up.open(), dx = to_x.open();
        up.parameter_gradients(du, *x, dup, {});
        if (to_x.wanted()) kernels::gemm.run(dy.device(), dy.stream(), up.backward(du, *up_weight, dx));
        return {dx, dup, dup_bias, ddown, ddown_bias};
      });
}

}  // namespace hinoki
