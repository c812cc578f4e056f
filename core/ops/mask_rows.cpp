// Rows replaced by a learned vector.
#include "kernels/mask_rows.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {

Tensor mask_rows(const Tensor& x, const Tensor& mask, const Tensor& value) {
  require(value.rank() == 1 && value.dtype() == x.dtype() && x.rank() >= 1 && x.size(-1) == value.size(0) &&
              x.contiguous() && value.contiguous(),
          "mask_rows: value ", value.dtype(), value.shape(), " does not replace rows of ", x.dtype(), x.shape());
  const int64_t cols = value.size(0), rows = cols ? x.numel() / cols : 0;
  require(mask.dtype() == DType::i32 && mask.contiguous() && (mask.numel() == rows || cols == 0), "mask_rows: mask ",
          mask.dtype(), mask.shape(), " is not i32 with a number for each row of ", x.shape());
  const Tensor y = empty_like(x);
  kernels::mask_rows.run(y.device(), y.stream(),
                         {.x = x.data(),
                          .mask = static_cast<const int32_t*>(mask.data()),
                          .value = value.data(),
                          .y = y.data(),
                          .rows = rows,
                          .cols = cols,
                          .dtype = x.dtype()});
  return differentiable(
      y, {x, value},
      [mask = Saved(mask), to_value = Sink(value, wide(x.dtype())), rows, cols](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "mask_rows: gradient of shape ", dy.shape(), " is not contiguous");
        const Tensor dx = reuse(dy);
        const Sink::Target dvalue = to_value.open();
        kernels::mask_rows_grad.run(dy.device(), dy.stream(),
                                    {.dy = dy.data(),
                                     .mask = static_cast<const int32_t*>(mask->data()),
                                     .dx = dx.data(),
                                     .dvalue = dvalue.data(),
                                     .accumulate = dvalue.accumulate,
                                     .rows = rows,
                                     .cols = cols,
                                     .dtype = dy.dtype()});
        return {dx, dvalue};
      });
}

}  // namespace hinoki
