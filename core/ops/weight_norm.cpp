// A convolution's weight as direction and length.
#include "kernels/weight_norm.h"

#include "core/ops.h"

namespace hinoki {

Tensor weight_norm(const Tensor& v, const Tensor& g) {
  require(v.rank() == 3 && g.shape() == Shape{1, 1, v.size(2)} && v.dtype() == g.dtype() && v.contiguous() &&
              g.contiguous(),
          "weight_norm: v is ", v.dtype(), v.shape(), ", g ", g.dtype(), g.shape(), ", not [1, 1, kernel]");
  const int64_t rows = v.size(0) * v.size(1), cols = v.size(2);
  const DType sums = wide(v.dtype());
  const Tensor w = empty_like(v), norms = empty({cols}, sums, v.device());
  kernels::weight_norm.run(v.device(), v.stream(),
                           {.v = v.data(),
                            .g = g.data(),
                            .w = w.data(),
                            .norms = norms.data(),
                            .rows = rows,
                            .cols = cols,
                            .dtype = v.dtype()});
  return differentiable(w, {v, g},
                        [v = Saved(v), g = Saved(g), norms, to_v = Sink(v, sums), to_g = Sink(g, sums), rows, cols,
                         sums](const Tensor& dy) -> Grads {
                          const Tensor dw = cast(contiguous(dy), sums);  // of a convolution it is wide already
                          const Sink::Target dv = to_v.open(), dg = to_g.open();
                          kernels::weight_norm_grad.run(dw.device(), dw.stream(),
                                                        {.dw = dw.data(),
                                                         .v = v->data(),
                                                         .g = g->data(),
                                                         .norms = norms.data(),
                                                         .dv = dv.data(),
                                                         .dg = dg.data(),
                                                         .accumulate_v = dv.accumulate,
                                                         .accumulate_g = dg.accumulate,
                                                         .rows = rows,
                                                         .cols = cols,
                                                         .dtype = v->dtype()});
                          return {dv, dg};
                        });
}

}  // namespace hinoki
