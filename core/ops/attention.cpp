// Attention over a packed projection.
#include "core/ops/packed_qkv.h"

namespace hinoki {
using kernels::HeadRows, kernels::MutableHeadRows;

namespace {

// `lse`: undefined, or where the logarithms of the softmax's sums go. Only a backward pass wants them.
void attend(const PackedQkv& p, const kernels::AttentionShape& shape, const Tensor& qkv, const Tensor& out,
            const Tensor& lse) {
  kernels::attention.run(qkv.device(), qkv.stream(),
                         {.shape = shape,
                          .q = p.part<HeadRows>(qkv, 0),
                          .k = p.part<HeadRows>(qkv, 1),
                          .v = p.part<HeadRows>(qkv, 2),
                          .out = p.dense<MutableHeadRows>(out),
                          .lse = lse.defined() ? lse.data() : nullptr});
}

// How to make what attention gives out again, for the projection behind it and for its own gradient: q, k and v are kept
// for that. `segments` keeps alive what shape points to.
Remake attend_again(const PackedQkv& p, const kernels::AttentionShape& shape, const Tensor& qkv,
                    const Tensor& segments) {
  return [p, shape, qkv = Saved(qkv), segments] {
    const Tensor out = empty(p.out(), qkv->dtype(), qkv->device());
    attend(p, shape, *qkv, out, {});
    return out;
  };
}

}  // namespace

Tensor attention(const Tensor& qkv, const AttentionOptions& options) {
  const PackedQkv p(qkv, options);
  const kernels::AttentionShape shape = p.shape(options, qkv.dtype());
  Tensor out = empty(p.out(), qkv.dtype(), qkv.device());
  const bool recorded = recording({qkv});
  const Tensor lse = recorded ? empty({p.batch, p.heads, p.time}, wide(qkv.dtype()), qkv.device()) : Tensor();
  attend(p, shape, qkv, out, lse);
  // On the CPU a ninth of a layer's memory costs a fiftieth of its time; a GPU has the memory.
  if (recorded && qkv.device() == Device::cpu) out.set_remake(attend_again(p, shape, qkv, options.segments));

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
