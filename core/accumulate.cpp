#include "core/accumulate.h"

#include <utility>

#include "kernels/elementwise.h"

namespace hinoki {
namespace {

// out = a + b, element by element; out may be a.
void add_into(const Tensor& out, const Tensor& a, const Tensor& b) {
  kernels::add.run(out.device(), out.stream(),
                   {.a = a.data(), .b = b.data(), .y = out.data(), .count = out.numel(), .dtype = out.dtype()});
}

void require_addable(const Tensor& a, const Tensor& b) {
  require(a.shape() == b.shape() && a.dtype() == b.dtype(), "gradients of one tensor differ: ", a.dtype(), a.shape(),
          " and ", b.dtype(), b.shape());
  require(a.contiguous() && b.contiguous(), "a gradient of shape ", a.shape(), " is not contiguous");
}

}  // namespace

void accumulate(Tensor& sum, Tensor grad) {
  if (!sum.defined()) {
    sum = std::move(grad);
    return;
  }
  require_addable(sum, grad);
  if (sum.storage().use_count() == 1) return add_into(sum, sum, grad);
  const Tensor fresh = grad.storage().use_count() == 1 ? grad : empty_like(sum);
  add_into(fresh, sum, grad);
  sum = fresh;
}

void accumulate(Leaf& leaf, Tensor grad) {
  const bool fresh = std::exchange(leaf.fresh, false);
  if (!leaf.grad.defined()) {
    leaf.grad = grad;
    if (grad.storage().use_count() > 2) {  // somebody else holds it: a leaf's gradient is its own
      leaf.grad = empty_like(grad);
      copy_elements(grad, leaf.grad);
    }
    return;
  }
  require_addable(leaf.grad, grad);
  if (fresh)
    copy_elements(grad, leaf.grad);
  else
    add_into(leaf.grad, leaf.grad, grad);
}

}  // namespace hinoki
