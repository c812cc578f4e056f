// Sums, products and multiples of whole tensors, and conversions of their type.
#include "kernels/elementwise.h"

#include "core/ops.h"
#include "core/reuse.h"
#include "kernels/cast.h"
#include "kernels/norm.h"

namespace hinoki {
namespace {

void require_alike(const char* op, const Tensor& a, const Tensor& b) {
  require(a.shape() == b.shape() && a.dtype() == b.dtype(), op, ": ", a.dtype(), a.shape(), " and ", b.dtype(),
          b.shape());
}

void run_binary(const kernels::Kernel<kernels::Binary>& kernel, const Tensor& a, const Tensor& b, const Tensor& y) {
  kernel.run(y.device(), y.stream(),
             {.a = a.data(), .b = b.data(), .y = y.data(), .count = y.numel(), .dtype = y.dtype()});
}

void run_scale(const Tensor& x, double factor, const Tensor& y) {
  kernels::scale.run(y.device(), y.stream(),
                     {.x = x.data(), .y = y.data(), .factor = factor, .count = y.numel(), .dtype = y.dtype()});
}

}  // namespace

Tensor add(const Tensor& a_in, const Tensor& b_in) {
  require_alike("add", a_in, b_in);
  const Tensor a = contiguous(a_in), b = contiguous(b_in), y = empty_like(a);
  run_binary(kernels::add, a, b, y);
  return differentiable(y, {a, b}, [](const Tensor& dy) -> Grads { return {dy, dy}; });
}

Tensor mul(const Tensor& a_in, const Tensor& b_in) {
  require_alike("mul", a_in, b_in);
  const Tensor a = contiguous(a_in), b = contiguous(b_in), y = empty_like(a);
  run_binary(kernels::mul, a, b, y);
  return differentiable(y, {a, b},
                        [a = Saved(a), b = Saved(b), to_a = Sink(a), to_b = Sink(b)](const Tensor& dy) -> Grads {
                          Grads grads(2);
                          const auto product = [&](const Tensor& other) {
                            const Tensor d = empty_like(dy);
                            run_binary(kernels::mul, dy, other, d);
                            return d;
                          };
                          if (to_a.wanted()) grads[0] = product(*b);
                          if (to_b.wanted()) grads[1] = product(*a);
                          return grads;
                        });
}

Tensor scale(const Tensor& x_in, double factor) {
  const Tensor x = contiguous(x_in), y = empty_like(x);
  run_scale(x, factor, y);
  return differentiable(y, {x}, [factor](const Tensor& dy) -> Grads {
    const Tensor dx = reuse(dy);
    run_scale(dy, factor, dx);
    return {dx};
  });
}

Tensor scale_gradient(const Tensor& x, double factor) {
  return differentiable(x.detach(), {x}, [factor](const Tensor& dy) -> Grads {
    require(dy.contiguous(), "scale_gradient: gradient of shape ", dy.shape(), " is not contiguous");
    const Tensor dx = reuse(dy);
    run_scale(dy, factor, dx);
    return {dx};
  });
}

Tensor sum(const Tensor& x_in) {
  const Tensor x = contiguous(x_in), chunks = empty({kernels::chunks_of(x.numel())}, DType::f64, x.device());
  kernels::chunk_sums.run(
      x.device(), x.stream(),
      {.x = x.data(), .sums = static_cast<double*>(chunks.data()), .count = x.numel(), .dtype = x.dtype()});
  const Tensor sums = to_device(chunks, Device::cpu), y = zeros({}, wide(x.dtype()));
  double total = 0;
  for (int64_t i = 0; i < sums.numel(); ++i) total += sums.as<double>()[i];
  visit_float(y.dtype(), [&]<class T>() { *y.as<T>() = T(total); });
  return differentiable(y, {x}, [shape = x.shape(), dtype = x.dtype(), device = x.device()](const Tensor& dy) -> Grads {
    const Tensor dx = empty(shape, dtype, device);
    kernels::fill.run(dx.device(), dx.stream(),
                      {.y = dx.data(), .value = dy.item(), .count = dx.numel(), .dtype = dtype});
    return {dx};
  });
}

Tensor cast(const Tensor& x_in, DType dtype) {
  if (x_in.dtype() == dtype) return x_in;
  require(!recording({x_in}), "cast: no gradient passes from ", dtype, " to ", x_in.dtype());
  const Tensor x = contiguous(x_in), y = empty(x.shape(), dtype, x.device());
  kernels::cast.run(x.device(), x.stream(),
                    {.x = x.data(), .y = y.data(), .count = x.numel(), .from = x.dtype(), .to = dtype});
  return y;
}

}  // namespace hinoki
