// Attention over a packed projection.
#include "core/ops/packed_qkv.h"

namespace hinoki {
using kernels::HeadRows, kernels::MutableHeadRows;

Tensor attention(const Tensor& qkv, const AttentionOptions& options) {
  const PackedQkv p(qkv, options);
  const kernels::AttentionShape shape = p.shape(options, qkv.dtype());
  Tensor out = empty(p.out(), qkv.dtype(), qkv.device());
  const Tensor lse = recording({qkv}) ? empty({p.batch, p.heads, p.time}, wide(qkv.dtype()), qkv.device()) : Tensor();
  kernels::attention.run(qkv.device(), qkv.stream(),
                         {.shape = shape,
                          .q = p.part<HeadRows>(qkv, 0),
                          .k = p.part<HeadRows>(qkv, 1),
                          .v = p.part<HeadRows>(qkv, 2),
                          .out = p.dense<MutableHeadRows>(out),
                          .lse = lse.defined() ? lse.data() : nullptr});

  // `segments` keeps alive what shape points to.
  return differentiable(
      out, {qkv},
      [qkv = Saved(qkv), out = Saved(out), lse, p, shape, segments = options.segments](const Tensor& dy) -> Grads {
        require(dy.contiguous(), "attention: gradient of shape ", dy.shape(), " is not contiguous");
        Tensor dqkv = empty_like(*qkv);
        kernels::attention_grad.run(dy.device(), dy.stream(),
                                    {.shape = shape,
                                     .q = p.part<HeadRows>(*qkv, 0),
                                     .k = p.part<HeadRows>(*qkv, 1),
                                     .v = p.part<HeadRows>(*qkv, 2),
                                     .out = p.dense<HeadRows>(*out),
                                     .dout = p.dense<HeadRows>(dy),
                                     .lse = lse.data(),
                                     .dq = p.part<MutableHeadRows>(dqkv, 0),
                                     .dk = p.part<MutableHeadRows>(dqkv, 1),
                                     .dv = p.part<MutableHeadRows>(dqkv, 2)});
        return {dqkv};
      });
}

}  // namespace hinoki
