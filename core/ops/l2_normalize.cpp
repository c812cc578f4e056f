// Rows scaled to length one.
#include "kernels/l2_normalize.h"

#include "core/ops.h"
#include "core/reuse.h"

namespace hinoki {

Tensor l2_normalize(const Tensor& x_in, double eps) {
  require(x_in.rank() >= 1 && eps > 0, "l2_normalize: x ", x_in.shape(), ", eps ", eps,
          "; rows need an axis, eps is positive");
  const Tensor x = contiguous(x_in), y = empty_like(x);
  const int64_t cols = x.size(-1), rows = cols ? x.numel() / cols : 0;
  const Tensor inverse = empty({rows}, wide(x.dtype()), x.device());
  kernels::l2_normalize.run(x.device(), x.stream(),
                            {.x = x.data(),
                             .y = y.data(),
                             .inverse = inverse.data(),
                             .rows = rows,
                             .cols = cols,
                             .eps = eps,
                             .dtype = x.dtype()});
  return differentiable(y, {x}, [x = Saved(x), inverse, rows, cols, eps](const Tensor& dy) -> Grads {
    require(dy.contiguous(), "l2_normalize: gradient of shape ", dy.shape(), " is not contiguous");
    const Tensor dx = reuse(dy);
    kernels::l2_normalize_grad.run(dy.device(), dy.stream(),
                                   {.dy = dy.data(),
                                    .x = x->data(),
                                    .inverse = inverse.data(),
                                    .dx = dx.data(),
                                    .rows = rows,
                                    .cols = cols,
                                    .eps = eps,
                                    .dtype = dy.dtype()});
    return {dx};
  });
}

}  // namespace hinoki
