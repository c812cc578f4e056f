// Views and copies that gradients pass through.
#include "core/ops.h"
#include "kernels/copy.h"

namespace hinoki {
namespace {

void copy_part(const Tensor& from, const Tensor& to) {
  kernels::copy.run(to.device(), to.stream(),
                    {.x = from.data(),
                     .y = to.data(),
                     .shape = from.shape(),
                     .x_strides = from.strides(),
                     .y_strides = to.strides(),
                     .element = size_of(from.dtype())});
}

Tensor dense_copy(const Tensor& x) {
  Tensor y = empty_like(x);
  copy_part(x, y);
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  return differentiable(x.view(shape), {x}, [from = x.shape()](const Tensor& dy) -> Grads { return {dy.view(from)}; });
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  return differentiable(x.narrow(axis, begin, end - begin), {x},
                        [shape = x.shape(), axis, begin, end](const Tensor& dy) -> Grads {
                          Tensor dx = zeros(shape, dy.dtype(), dy.device());
                          copy_part(dy, dx.narrow(axis, begin, end - begin));
                          return {dx};
                        });
}

Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  return differentiable(x.swap(axis_a, axis_b), {x},
                        [axis_a, axis_b](const Tensor& dy) -> Grads { return {dense_copy(dy.swap(axis_a, axis_b))}; });
}

Tensor contiguous(const Tensor& x) {
  if (x.contiguous()) return x;
  return differentiable(dense_copy(x), {x}, [](const Tensor& dy) -> Grads { return {dy}; });
}

}  // namespace hinoki
