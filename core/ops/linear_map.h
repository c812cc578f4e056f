// The products of a linear map y = x W^T + b and of its gradients, for the ops that hold one.
#pragma once
#include <utility>

#include "core/ops.h"
#include "kernels/column_sum.h"
#include "kernels/gemm.h"

namespace hinoki {

struct LinearMap {
  int64_t rows, in, out;
  int64_t pitch;  // elements from row to row of y and dy
  bool out_in;    // how W is stored

  // Checks that these fit together. `op` is whose map it is, for the message.
  LinearMap(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, WeightLayout layout)
      : out_in(layout == WeightLayout::out_in) {
    require(weight.rank() == 2 && x.rank() >= 1 && x.size(-1) == weight.size(out_in ? 1 : 0), op, ": weight is ",
            weight.shape(), out_in ? " [out, in]" : " [in, out]", ", x is ", x.shape());
    require(x.contiguous() && weight.contiguous(), op, ": x ", x.shape(), " and weight ", weight.shape(),
            " must be contiguous");
    in = x.size(-1), out = weight.size(out_in ? 0 : 1), rows = in ? x.numel() / in : 0, pitch = out;
    require(!bias.defined() || bias.shape() == Shape{out}, op, ": bias is ", bias.shape(), ", weight ", weight.shape());
    require(!recording({x, weight}) || weight.dtype() == x.dtype(), op, ": weights stored as ", weight.dtype(),
            " take no part in training");
  }

  // Memory for y.
  Tensor output(const Tensor& x) const {
    Shape shape = x.shape();
    shape[-1] = out;
    return empty(shape, x.dtype(), x.device());
  }

  // y = x W^T + b
  kernels::Gemm forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) const {
    return {.a = x.data(),
            .b = weight.data(),
            .c = y.data(),
            .m = rows,
            .n = out,
            .k = in,
            .lda = in,
            .ldb = weight.size(1),
            .ldc = pitch,
            .b_transposed = out_in,
            .bias = bias.defined() ? bias.data() : nullptr,
            .dtype = x.dtype(),
            .b_dtype = weight.dtype()};
  }

  // dx = dy W
  kernels::Gemm backward(const Tensor& dy, const Tensor& weight, const Sink::Target& dx) const {
    return {.a = dy.data(),
            .b = weight.data(),
            .c = dx.data(),
            .m = rows,
            .n = in,
            .k = out,
            .lda = pitch,
            .ldb = weight.size(1),
            .ldc = in,
            .b_transposed = !out_in,
            .accumulate = dx.accumulate,
            .dtype = dy.dtype(),
            .b_dtype = dy.dtype()};
  }

  // dW = dy^T x, or its transpose, and db, the sum of dy over its rows; what is undefined is not wanted. For both
  // together dy is read once.
  void parameter_gradients(const Tensor& dy, const Tensor& x, const Sink::Target& dweight,
                           const Sink::Target& dbias) const {
    if (dweight.tensor.defined()) {
      kernels::Gemm product{.a = dy.data(),
                            .b = x.data(),
                            .c = dweight.data(),
                            .m = out,
                            .n = in,
                            .k = rows,
                            .lda = pitch,
                            .ldb = in,
                            .ldc = in,
                            .a_transposed = true,
                            .accumulate = dweight.accumulate,
                            .a_sums = dbias.data(),
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
    } else if (dbias.tensor.defined()) {
      kernels::column_sum.run(dy.device(), dy.stream(),
                              {.x = dy.data(),
                               .sum = dbias.data(),
                               .accumulate = dbias.accumulate,
                               .rows = rows,
                               .cols = out,
                               .stride = pitch,
                               .dtype = dy.dtype()});
    }
  }
};

}  // namespace hinoki
