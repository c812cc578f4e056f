// y = x W^T + b: one product forward, two backward.
#include "core/ops.h"
#include "kernels/column_sum.h"
#include "kernels/gemm.h"

namespace hinoki {

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, WeightLayout layout) {
  const bool out_in = layout == WeightLayout::out_in;
  require(weight.rank() == 2 && x.rank() >= 1 && x.size(-1) == weight.size(out_in ? 1 : 0), "linear: weight is ",
          weight.shape(), out_in ? " [out, in]" : " [in, out]", ", x is ", x.shape());
  require(x.contiguous() && weight.contiguous(), "linear: x ", x.shape(), " and weight ", weight.shape(),
          " must be contiguous");
  const int64_t in = x.size(-1), out = weight.size(out_in ? 0 : 1), rows = in ? x.numel() / in : 0;
  require(!bias.defined() || bias.shape() == Shape{out}, "linear: bias is ", bias.shape(), ", weight ", weight.shape());
  require(!recording({x, weight}) || weight.dtype() == x.dtype(), "linear: weights stored as ", weight.dtype(),
          " take no part in training");

  Shape shape = x.shape();
  shape[-1] = out;
  Tensor y = empty(shape, x.dtype(), x.device());
  kernels::gemm.run(x.device(), x.stream(),
                    {.a = x.data(),
                     .b = weight.data(),
                     .c = y.data(),
                     .m = rows,
                     .n = out,
                     .k = in,
                     .lda = in,
                     .ldb = weight.size(1),
                     .ldc = out,
                     .b_transposed = out_in,
                     .bias = bias.defined() ? bias.data() : nullptr,
                     .dtype = x.dtype(),
                     .b_dtype = weight.dtype()});

  return differentiable(
      y, {x, weight, bias},
      [x = Saved(x), weight = Saved(weight), to_x = Sink(x), to_weight = Sink(weight, wide(x.dtype())),
       to_bias = Sink(bias, wide(x.dtype())), rows, in, out, out_in](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "linear: gradient of shape ", dy.shape(), " is not contiguous");
        const Sink::Target dx = to_x.open(), dweight = to_weight.open(), dbias = to_bias.open();
        if (to_x.wanted())  // dx = dy W
          kernels::gemm.run(dy.device(), dy.stream(),
                            {.a = dy.data(),
                             .b = weight->data(),
                             .c = dx.data(),
                             .m = rows,
                             .n = in,
                             .k = out,
                             .lda = out,
                             .ldb = weight->size(1),
                             .ldc = in,
                             .b_transposed = !out_in,
                             .accumulate = dx.accumulate,
                             .dtype = dy.dtype(),
                             .b_dtype = dy.dtype()});
        const bool together = to_weight.wanted() && to_bias.wanted();
        if (to_weight.wanted()) {  // dW = dy^T x, or its transpose; dy is read once for both sums
          kernels::Gemm product{.a = dy.data(),
                                .b = x->data(),
                                .c = dweight.data(),
                                .m = out,
                                .n = in,
                                .k = rows,
                                .lda = out,
                                .ldb = in,
                                .ldc = in,
                                .a_transposed = true,
                                .accumulate = dweight.accumulate,
                                .a_sums = together ? dbias.data() : nullptr,
                                .accumulate_sums = dbias.accumulate,
                                .dtype = dy.dtype(),
                                .b_dtype = dy.dtype(),
                                .c_dtype = wide(dy.dtype())};
          if (!out_in) {
            std::swap(product.a, product.b);
            std::swap(product.m, product.n);
            std::swap(product.lda, product.ldb);
            std::swap(product.a_sums, product.b_sums);
            product.ldc = out;
          }
          kernels::gemm.run(dy.device(), dy.stream(), product);
        }
        if (to_bias.wanted() && !together)
          kernels::column_sum.run(dy.device(), dy.stream(),
                                  {.x = dy.data(),
                                   .sum = dbias.data(),
                                   .accumulate = dbias.accumulate,
                                   .rows = rows,
                                   .cols = out,
                                   .stride = out,
                                   .dtype = dy.dtype()});
        return {dx, dweight, dbias};
      });
}

}  // namespace hinoki
