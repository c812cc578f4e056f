// Group norm over time.
#include "kernels/group_norm.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps,
                  const Tensor& lengths) {
  require(x.rank() == 3 && x.contiguous(), "group_norm: x of shape ", x.shape(), " is not [batch, time, channels]");
  require(groups >= 1 && x.size(2) % groups == 0, "group_norm: ", groups, " groups of x ", x.shape());
  for (const Tensor& t : {weight, bias})
    require(t.shape() == Shape{x.size(2)} && t.dtype() == x.dtype() && t.contiguous(), "group_norm: weight is ",
            weight.dtype(), weight.shape(), ", bias ", bias.dtype(), bias.shape(), ", x ", x.dtype(), x.shape());
  require(!lengths.defined() ||
              (lengths.dtype() == DType::i32 && lengths.shape() == Shape{x.size(0)} && lengths.contiguous()),
          "group_norm: lengths are not i32 with one for each row of x ", x.shape());
  const DType statistics = wide(x.dtype());
  const Tensor y = empty_like(x), mean = empty({x.size(0), groups}, statistics, x.device()), rstd = empty_like(mean);
  const kernels::GroupNormShape shape{
      .batch = x.size(0),
      .time = x.size(1),
      .channels = x.size(2),
      .groups = groups,
      .lengths = lengths.defined() ? static_cast<const int32_t*>(lengths.data()) : nullptr,
      .dtype = x.dtype()};
  kernels::group_norm.run(x.device(), x.stream(),
                          {.shape = shape,
                           .x = x.data(),
                           .weight = weight.data(),
                           .bias = bias.data(),
                           .y = y.data(),
                           .mean = mean.data(),
                           .rstd = rstd.data(),
                           .eps = eps});
  return differentiable(
      y, {x, weight, bias},
      [x = Saved(x), weight = Saved(weight), lengths = Saved(lengths), mean, rstd, shape,
       to_weight = Sink(weight, statistics), to_bias = Sink(bias, statistics)](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "group_norm: gradient of shape ", dy.shape(), " is not contiguous");
        require(!shape.lengths || lengths->defined(), "group_norm: lengths are gone");
        const Tensor dx = reuse(dy);
        const Sink::Target dweight = to_weight.open(), dbias = to_bias.open();
        require(!dbias.tensor.defined() || !dweight.tensor.defined() || dweight.accumulate == dbias.accumulate,
                "group_norm: weight and bias must be accumulated together");
        kernels::group_norm_grad.run(dy.device(), dy.stream(),
                                     {.shape = shape,
                                      .dy = dy.data(),
                                      .x = x->data(),
                                      .weight = weight->data(),
                                      .mean = mean.data(),
                                      .rstd = rstd.data(),
                                      .dx = dx.data(),
                                      .dweight = dweight.data(),
                                      .dbias = dbias.data(),
                                      .accumulate = dweight.accumulate || dbias.accumulate});
        return {dx, dweight, dbias};
      });
}

}  // namespace hinoki
