// A penalty on activations: squares of rows, each row with a weight.
#include "core/ops.h"
#include "kernels/weighted_squares.h"

namespace hinoki {

Tensor weighted_sum_of_squares(const Tensor& x_in, const Tensor& weights) {
  const Tensor x = contiguous(x_in);
  require(x.rank() >= 1, "weighted_sum_of_squares: x of shape ", x.shape(), " has no rows");
  const int64_t cols = x.size(-1), rows = cols ? x.numel() / cols : 0;
  require(weights.dtype() == DType::f32 && weights.contiguous() && (weights.numel() == rows || cols == 0),
          "weighted_sum_of_squares: weights ", weights.dtype(), weights.shape(),
          " are not f32 with one for each row of ", x.shape());
  const auto* of_rows = static_cast<const float*>(weights.data());
  const Tensor blocks = empty({kernels::squares_blocks(rows)}, DType::f64, x.device());
  kernels::weighted_squares.run(x.device(), x.stream(),
                                {.x = x.data(),
                                 .weights = of_rows,
                                 .sums = static_cast<double*>(blocks.data()),
                                 .rows = rows,
                                 .cols = cols,
                                 .dtype = x.dtype()});
  const Tensor sums = to_device(blocks, Device::cpu), y = zeros({}, DType::f64);
  for (int64_t i = 0; i < sums.numel(); ++i) *y.as<double>() += sums.as<double>()[i];
  return differentiable(y, {x}, [x = Saved(x), weights = Saved(weights), rows, cols](const Tensor& dy) -> Grads {
    const Tensor dx = empty_like(*x);
    kernels::weighted_squares_grad.run(dx.device(), dx.stream(),
                                       {.x = x->data(),
                                        .weights = static_cast<const float*>(weights->data()),
                                        .dy = dy.item(),
                                        .dx = dx.data(),
                                        .rows = rows,
                                        .cols = cols,
                                        .dtype = dx.dtype()});
    return {dx};
  });
}

}  // namespace hinoki
