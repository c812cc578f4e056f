// The output projection and its loss, a chunk of rows at a time. While a chunk's logits exist they become their own
// gradient, and both products that need it are done at once: three products in all, none of them again in the backward
// pass, and never more logits than one chunk's.
#include "core/ops/head_chunks.h"
#include "core/reuse.h"
#include "kernels/elementwise.h"

namespace hinoki {

// Rows of a chunk, 256 or 512. The weight's gradient is read and written once for each chunk, which at 256 rows costs
// 7 % of the time; 512 are taken while their logits stay within 32 MiB of floats, or on a GPU, where memory is larger,
// 64. The bits do not depend on it.
int64_t loss_chunk_rows(int64_t vocab, Device device) {
  const int64_t most = int64_t{1} << (device == Device::cpu ? 23 : 24);
  return 512 * vocab <= most ? 512 : 256;
}

namespace {

void scale_in_place(const Tensor& t, double factor) {
  if (factor != 1 && t.defined())
    kernels::scale.run(t.device(), t.stream(),
                       {.x = t.data(), .y = t.data(), .factor = factor, .count = t.numel(), .dtype = t.dtype()});
}

}  // namespace

Tensor linear_cross_entropy(Tensor x, const Tensor& weight, const Tensor& labels) {
  const HeadChunks problem("linear_cross_entropy", x, weight, labels);
  const int64_t rows = problem.rows;
  const bool gradient = recording({x, weight});
  const Sink to_x(x), to_weight(weight, wide(x.dtype()));
  Tensor losses = empty({rows}, DType::f64, x.device());
  const Tensor dx = gradient && to_x.wanted() ? reuse(x) : Tensor();
  // Straight into the leaf's buffer, before the backward pass: it is known by then what the cotangent does to it.
  const Sink::Target dweight = gradient ? to_weight.open() : Sink::Target{};
  const bool zero = dweight.tensor.defined() && rows == 0 && !dweight.accumulate;
  if (zero) set_zero(dweight.tensor);
  problem.each({.losses = static_cast<double*>(losses.data()), .gradient = gradient},
               [&](int64_t i, int64_t n, const Tensor& dlogits) { problem.gradients(i, n, dlogits, dx, dweight); });
  Tensor total = zeros({}, DType::f64);
  losses = to_device(losses, Device::cpu);
  for (int64_t i = 0; i < rows; ++i) *total.as<double>() += losses.as<double>()[i];

  return differentiable(total, {x, weight}, [dx, dweight](const Tensor& dy) -> Grads {
    const double factor = dy.item();
    require(
        factor == 1 || !dweight.in_leaf,
        "linear_cross_entropy: its loss must be the sum that backward() starts from; scale gradients in the optimizer");
    scale_in_place(dx, factor);
    scale_in_place(dweight.tensor, factor);
    return {dx, dweight};
  });
}

Tensor linear_cross_entropy_rows(const Tensor& x, const Tensor& weight, const Tensor& labels) {
  const HeadChunks problem("linear_cross_entropy_rows", x, weight, labels);
  const Tensor losses = empty({problem.rows}, DType::f64, x.device());
  problem.each({.losses = static_cast<double*>(losses.data())}, [](int64_t, int64_t, const Tensor&) {});
  return to_device(losses, Device::cpu);
}

}  // namespace hinoki
