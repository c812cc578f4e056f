// Log-probabilities of labels, for losses that are made of them: preferences, policies. Their cotangent is known only when
// the loss is, so the backward pass makes each chunk's logits a second time.
#include "core/ops/head_chunks.h"
#include "kernels/elementwise.h"

namespace hinoki {
namespace {

// -x, or x of ignored rows: 0.
Tensor negated(const Tensor& x) {
  const Tensor y = empty_like(x);
  for (int64_t i = 0; i < x.numel(); ++i) y.as<double>()[i] = x.as<double>()[i] == 0 ? 0 : -x.as<double>()[i];
  return y;
}

}  // namespace

Tensor linear_log_probs(const Tensor& x, const Tensor& weight, const Tensor& labels, Tensor* entropies) {
  const HeadChunks head("linear_log_probs", x, weight, labels);
  const Tensor losses = empty({head.rows}, DType::f64, x.device());
  if (entropies) *entropies = empty({head.rows}, DType::f64, x.device());
  head.each({.losses = static_cast<double*>(losses.data()),
             .entropies = entropies ? static_cast<double*>(entropies->data()) : nullptr},
            [](int64_t, int64_t, const Tensor&) {});
  if (entropies) *entropies = to_device(*entropies, Device::cpu);

  return differentiable(
      negated(to_device(losses, Device::cpu)), {x, weight},
      [x = Saved(x), weight = Saved(weight), labels = Saved(labels), to_x = Sink(x),
       to_weight = Sink(weight, wide(x.dtype()))](const Tensor& dy) -> Grads {
        const HeadChunks head("linear_log_probs", *x, *weight, *labels);
        const Tensor weights = to_device(contiguous(dy), x->device()), losses = empty_like(weights);
        const Tensor dx = to_x.wanted() ? empty_like(*x) : Tensor();
        const Sink::Target dweight = to_weight.open();
        if (head.rows == 0 && dweight.tensor.defined() && !dweight.accumulate) set_zero(dweight.tensor);
        head.each({.losses = static_cast<double*>(losses.data()),
                   .gradient = true,
                   .scale = -1,
                   .weights = static_cast<const double*>(weights.data())},
                  [&](int64_t i, int64_t n, const Tensor& dlogits) { head.gradients(i, n, dlogits, dx, dweight); });
        return {dx, dweight};
      });
}

}  // namespace hinoki
