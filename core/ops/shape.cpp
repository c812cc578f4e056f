// Views and copies that gradients pass through.
#include <cstring>

#include "core/ops.h"

namespace hinoki {
namespace {

// Copies a strided tensor to or from row-major memory, innermost axis in one run.
template <class T, bool to_dense>
void walk(T* dense, T* strided, const Shape& shape, const Shape& strides) {
  const int rank = shape.rank();
  const int64_t inner = rank ? shape[-1] : 1, step = rank ? strides[-1] : 1;
  const int64_t rows = inner ? shape.numel() / inner : 0;
  Shape at = shape;
  for (int i = 0; i < rank; ++i) at[i] = 0;
  int64_t offset = 0;
  for (int64_t r = 0; r < rows; ++r, dense += inner) {
    for (int64_t i = 0; i < inner; ++i)
      if constexpr (to_dense)
        dense[i] = strided[offset + i * step];
      else
        strided[offset + i * step] = dense[i];
    for (int axis = rank - 2; axis >= 0; --axis) {
      offset += strides[axis];
      if (++at[axis] < shape[axis]) break;
      offset -= at[axis] * strides[axis];
      at[axis] = 0;
    }
  }
}

template <bool to_dense>
void copy(const Tensor& dense, const Tensor& strided) {
  const auto by_size = [&]<class T>(T) {
    walk<T, to_dense>(static_cast<T*>(dense.data()), static_cast<T*>(strided.data()), strided.shape(),
                      strided.strides());
  };
  switch (size_of(dense.dtype())) {
    case 1:
      return by_size(uint8_t{});
    case 2:
      return by_size(uint16_t{});
    case 4:
      return by_size(uint32_t{});
    default:
      return by_size(uint64_t{});
  }
}

Tensor dense_copy(const Tensor& x) {
  Tensor y = empty_like(x);
  copy<true>(y, x);
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  return differentiable(x.view(shape), {x}, [from = x.shape()](const Tensor& dy) -> Grads { return {dy.view(from)}; });
}

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  return differentiable(x.narrow(axis, begin, end - begin), {x},
                        [shape = x.shape(), axis, begin, end](const Tensor& dy) -> Grads {
                          Tensor dx = zeros(shape, dy.dtype());
                          copy<false>(dy, dx.narrow(axis, begin, end - begin));
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
