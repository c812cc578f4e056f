// y = gelu(x W1^T + b1) W2^T + b2. Of the arrays [rows, inner] that come up, one is kept, or none: u = x W1^T. GELU's
// output g lives between the products of the forward pass; the backward pass makes it again, over u, in the pass over
// memory that makes GELU's gradient, since both need the same erf or exponential.
//
// On CUDA the products of the tanh form take GELU along. Then u holds b1 as well, and fewer inner arrays go through
// memory between the products, whose own reading is left out here:
//
//            fused                                          else
//   forward  u, g written by the product                2   u written, read; g written                       3
//   backward du written by the product, which reads u;  4   dg written, read; u read; du, g written          5
//            u read, g written by our kernel
//
// The gradient of b1 comes with dW1, whose product reads du anyhow; where it adds to what earlier micro-batches left,
// du is read once more, and nothing is lost. cuBLASLt's DGELU_BGRAD, which would make it with du, has it in the type of
// du: bf16 is too short for a sum over all tokens.
#include "core/ops/linear_map.h"
#include "core/reuse.h"
#include "kernels/bias_gelu.h"

namespace hinoki {
namespace {

// g = gelu(u + bias), in place or not
void activate(const Tensor& u, const Tensor& bias, const Tensor& g, const LinearMap& up, kernels::GeluForm form) {
  kernels::bias_gelu.run(u.device(), u.stream(),
                         {.x = u.data(),
                          .bias = bias.defined() ? bias.data() : nullptr,
                          .y = g.data(),
                          .rows = up.rows,
                          .cols = up.out,
                          .form = form,
                          .dtype = u.dtype()});
}

struct MlpBackward {
  LinearMap up, down;
  kernels::GeluForm form;
  bool fused;
  Saved x, up_weight, up_bias, down_weight;
  Tensor u;  // nobody else's, and used up; undefined: to be made again
  Sink to_x, to_up, to_up_bias, to_down, to_down_bias;

  Grads operator()(const Tensor& dy) {
    require(dy.contiguous(), "gelu_mlp: gradient of shape ", dy.shape(), " is not contiguous");
    if (!u.defined()) {
      u = up.output(*x);
      kernels::gemm.run(dy.device(), dy.stream(), up.forward(*x, *up_weight, fused ? *up_bias : Tensor(), u));
    }
    const Tensor du = empty_like(u);  // dg = dy W2 at first, where it is not fused
    Tensor g = reuse(u);
    kernels::Gemm through_down = down.backward(dy, *down_weight, {.tensor = du});
    if (fused) through_down.dgelu_at = u.data();
    kernels::gemm.run(dy.device(), dy.stream(), through_down);
    Sink::Target dup_bias;
    if (!fused) {
      dup_bias = to_up_bias.open();
      through_gelu(du, to_down.wanted() ? g : Tensor(), dup_bias);
    } else if (to_down.wanted()) {
      activate(u, {}, g, up, form);
    }
    const Sink::Target ddown = to_down.open(), ddown_bias = to_down_bias.open();
    down.parameter_gradients(dy, g, ddown, ddown_bias);
    g = u = {};
    const Sink::Target dup = to_up.open();
    if (fused) dup_bias = to_up_bias.open();
    up.parameter_gradients(du, to_up.wanted() ? *x : Tensor(), dup, fused ? dup_bias : Sink::Target{});
    const Sink::Target dx = to_x.open();
    if (to_x.wanted()) kernels::gemm.run(dy.device(), dy.stream(), up.backward(du, *up_weight, dx));
    return {dx, dup, dup_bias, ddown, ddown_bias};
  }

  // du from dg, in place; g again if it is wanted.
  void through_gelu(const Tensor& du, const Tensor& g, const Sink::Target& dbias) const {
    kernels::bias_gelu_grad.run(du.device(), du.stream(),
                                {.dy = du.data(),
                                 .x = u.data(),
                                 .bias = up_bias->defined() ? up_bias->data() : nullptr,
                                 .dx = du.data(),
                                 .y = g.defined() ? g.data() : nullptr,
                                 .dbias = dbias.data(),
                                 .accumulate = dbias.accumulate,
                                 .rows = up.rows,
                                 .cols = up.out,
                                 .form = form,
                                 .dtype = du.dtype()});
  }
};

}  // namespace

Tensor gelu_mlp(const Tensor& x, const MlpWeights& w, Gelu form, Inner inner) {
  const LinearMap up("gelu_mlp", x, w.up, w.up_bias, w.layout);
  const Tensor u = up.output(x);
  const LinearMap down("gelu_mlp", u, w.down, w.down_bias, w.layout);
  const auto kernel_form = form == Gelu::erf ? kernels::GeluForm::erf : kernels::GeluForm::tanh;
  const bool fused = form == Gelu::tanh && x.device() == Device::cuda;

  const bool apart = fused || recording({x, w.up, w.up_bias, w.down, w.down_bias});
  const Tensor g = apart ? empty_like(u) : u;
  kernels::Gemm through_up = up.forward(x, w.up, fused ? w.up_bias : Tensor(), u);
  if (fused) through_up.c = g.data(), through_up.pre_gelu = u.data();
  kernels::gemm.run(x.device(), x.stream(), through_up);
  if (!fused) activate(u, w.up_bias, g, up, kernel_form);
  Tensor y = down.output(g);
  kernels::gemm.run(x.device(), x.stream(), down.forward(g, w.down, w.down_bias, y));

  const DType sums = wide(x.dtype());
  return differentiable(y, {x, w.up, w.up_bias, w.down, w.down_bias},
                        MlpBackward{up, down, kernel_form, fused, Saved(x), Saved(w.up), Saved(w.up_bias),
                                    Saved(w.down), inner == Inner::kept ? u : Tensor(), Sink(x), Sink(w.up, sums),
                                    Sink(w.up_bias, sums), Sink(w.down, sums), Sink(w.down_bias, sums)});
}

}  // namespace hinoki
