// Layer norm, alone and behind the residual sum it reads.
#include "kernels/layer_norm.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {
namespace {

void require_rows_fit(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require(x.contiguous(), "layer_norm: x of shape ", x.shape(), " is not contiguous");
  require(weight.shape() == Shape{x.size(-1)}, "layer_norm: weight is ", weight.shape(), ", x ends in ", x.size(-1));
  require(!bias.defined() || bias.shape() == weight.shape(), "layer_norm: bias is ", bias.shape(), ", x ends in ",
          x.size(-1));
}

struct Statistics {
  Tensor mean, rstd;  // [rows]
};

Statistics normalize(const Tensor& x, const Tensor& d1, const Tensor& d2, const Tensor& weight, const Tensor& bias,
                     double eps, const Tensor& sum, const Tensor& y) {
  const int64_t cols = x.size(-1), rows = cols ? x.numel() / cols : 0;
  const DType statistics = wide(x.dtype());
  Statistics s{empty({rows}, statistics, x.device()), empty({rows}, statistics, x.device())};
  const auto data = [](const Tensor& t) { return t.defined() ? t.data() : nullptr; };
  kernels::layer_norm.run(x.device(), x.stream(),
                          {.x = x.data(),
                           .delta = data(d1),
                           .delta2 = data(d2),
                           .weight = weight.data(),
                           .bias = data(bias),
                           .sum = data(sum),
                           .y = y.data(),
                           .mean = s.mean.data(),
                           .rstd = s.rstd.data(),
                           .rows = rows,
                           .cols = cols,
                           .eps = eps,
                           .dtype = x.dtype()});
  return s;
}

// How to make y again: the sum is kept for the norm's own gradient, and a norm is one pass over memory.
Remake normalize_again(const Tensor& sum, const Tensor& weight, const Tensor& bias, double eps) {
  return [sum = Saved(sum), weight = Saved(weight), bias = Saved(bias), eps] {
    const Tensor y = empty_like(*sum);
    normalize(*sum, {}, {}, *weight, *bias, eps, {}, y);
    return y;
  };
}

// What both backward passes share: from dy (at the norm's output) and dsum (at its input from elsewhere, may be
// undefined) to the gradients of the input, the weight and the bias.
struct LayerNormBackward {
  Saved sum, weight;
  Statistics statistics;
  Sink to_weight, to_bias;

  Grads operator()(const Tensor& dy, const Tensor& dsum) const {
    const int64_t cols = sum->size(-1), rows = cols ? sum->numel() / cols : 0;
    const Tensor dx = dsum.defined() && dsum.storage().use_count() == 1 ? dsum.detach() : reuse(dy);
    const Sink::Target dweight = to_weight.open(), dbias = to_bias.open();
    require(!dbias.tensor.defined() || !dweight.tensor.defined() || dweight.accumulate == dbias.accumulate,
            "layer_norm: weight and bias must be accumulated together");
    kernels::layer_norm_grad.run(dy.device(), dy.stream(),
                                 {.dy = dy.data(),
                                  .s = sum->data(),
                                  .weight = weight->data(),
                                  .mean = statistics.mean.data(),
                                  .rstd = statistics.rstd.data(),
                                  .dsum = dsum.defined() ? dsum.data() : nullptr,
                                  .dx = dx.data(),
                                  .dweight = dweight.data(),
                                  .dbias = dbias.data(),
                                  .accumulate = dweight.accumulate || dbias.accumulate,
                                  .rows = rows,
                                  .cols = cols,
                                  .dtype = dy.dtype()});
    return {dx, dweight, dbias};
  }
};

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  require_rows_fit(x, weight, bias);
  Tensor y = empty_like(x);
  const Statistics s = normalize(x, {}, {}, weight, bias, eps, {}, y);
  if (recording({x, weight, bias})) y.set_remake(normalize_again(x, weight, bias, eps));
  return differentiable(
      y, {x, weight, bias},
      [b = LayerNormBackward{Saved(x), Saved(weight), s, Sink(weight, wide(x.dtype())), Sink(bias, wide(x.dtype()))}](
          const Tensor& dy) -> Grads { return b(dy, {}); });
}

Normed residual_layer_norm(const Tensor& x, const Tensor& d1, const Tensor& d2, const Tensor& weight,
                           const Tensor& bias, double eps) {
  require_rows_fit(x, weight, bias);
  for (const Tensor& d : {d1, d2})
    require(!d.defined() || (d.shape() == x.shape() && d.contiguous()), "residual_layer_norm: x is ", x.shape(),
            ", what is added ", d.shape());
  Tensor sum = empty_like(x), y = empty_like(x);
  const Statistics s = normalize(x, d1, d2, weight, bias, eps, sum, y);
  if (recording({x, d1, d2, weight, bias})) y.set_remake(normalize_again(sum, weight, bias, eps));
  const auto out = differentiable(
      {sum, y}, {x, d1, d2, weight, bias},
      [b = LayerNormBackward{Saved(sum), Saved(weight), s, Sink(weight, wide(x.dtype())), Sink(bias, wide(x.dtype()))},
       two = d2.defined()](const std::vector<Tensor>& dys) -> Grads {
        if (!dys[1].defined()) return {dys[0], dys[0], two ? dys[0] : Tensor(), {}, {}};
        Grads g = b(dys[1], dys[0]);
        return {g[0], g[0], two ? g[0] : Grad(), g[1], g[2]};
      });
  return {out[0], out[1]};
}

}  // namespace hinoki
