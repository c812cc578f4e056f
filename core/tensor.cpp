#include "core/tensor.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/base/half.h"

namespace hinoki {

Tensor::Tensor(std::shared_ptr<Storage> storage, int64_t offset, Shape shape, Shape strides, DType dtype)
    : storage_(std::move(storage)), offset_(offset), shape_(shape), strides_(strides), dtype_(dtype) {}

void Tensor::wait(Arrival& arrival) const {
  if (numel() == 0) return;
  int64_t last = offset_;
  for (int axis = 0; axis < rank(); ++axis) last += (size(axis) - 1) * strides_[axis];
  arrival.wait(size_t(offset_) * size_of(dtype_), size_t(last + 1) * size_of(dtype_));
}

double Tensor::item() const {
  require(numel() == 1, "item: tensor of shape ", shape_, " has not exactly one element");
  if (device() != Device::cpu) return to_device(view({}), Device::cpu).item();
  switch (dtype_) {
    case DType::f32:
      return *as<float>();
    case DType::f64:
      return *as<double>();
    case DType::bf16:
      return to_float(*as<bf16>());
    case DType::i32:
      return *as<int32_t>();
    case DType::i64:
      return double(*as<int64_t>());
    default:
      fail("item: not for ", dtype_);
  }
}

Tensor Tensor::view(const Shape& shape) const {
  require(contiguous(), "view: tensor of shape ", shape_, " is not contiguous");
  require(shape.numel() == numel(), "view: ", shape_, " as ", shape);
  return {storage_, offset_, shape, shape.strides(), dtype_};
}

Tensor Tensor::narrow(int axis, int64_t begin, int64_t size) const {
  require(0 <= begin && 0 <= size && begin + size <= shape_[axis], "narrow: [", begin, ", ", begin + size, ") of axis ",
          axis, " of ", shape_);
  Shape shape = shape_;
  shape[axis] = size;
  return {storage_, offset_ + begin * strides_[axis], shape, strides_, dtype_};
}

Tensor Tensor::swap(int axis_a, int axis_b) const {
  Tensor t = detach();
  std::swap(t.shape_[axis_a], t.shape_[axis_b]);
  std::swap(t.strides_[axis_a], t.strides_[axis_b]);
  return t;
}

Tensor Tensor::detach() const {
  Tensor t = *this;
  t.edge_ = {};
  t.remake_ = {};
  return t;
}

void Tensor::set_remake(Remake remake) {
  remake_ = std::make_shared<const Remake>([remake = std::move(remake), made = Tensor()]() mutable {
    if (!made.defined()) made = remake().detach();
    return made;
  });
}

Tensor Tensor::grad() const { return edge_.leaf ? edge_.leaf->grad : Tensor(); }

Tensor empty(const Shape& shape, DType dtype, Device device) {
  const size_t element = size_of(dtype);
  return {Storage::allocate(size_t(shape.numel()) * element, device, element), 0, shape, shape.strides(), dtype};
}

Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }

Tensor zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  set_zero(t);
  return t;
}

Tensor to_device(const Tensor& x, Device device) {
  if (!x.defined() || x.device() == device) return x;
  Tensor y = empty(x.shape(), x.dtype(), device);
  copy_elements(x, y);
  return y;
}

void set_zero(const Tensor& x) {
  require(x.contiguous(), "set_zero: tensor of shape ", x.shape(), " is not contiguous");
  fill_bytes(x.data(), 0, size_t(x.numel()) * size_of(x.dtype()), x.device());
}

void copy_elements(const Tensor& from, const Tensor& to) {
  require(from.shape() == to.shape() && from.dtype() == to.dtype() && from.contiguous() && to.contiguous(),
          "copy_elements: from ", from.dtype(), from.shape(), " to ", to.dtype(), to.shape(), ", both contiguous");
  copy_bytes(to.data(), to.device(), from.data(), from.device(), size_t(from.numel()) * size_of(from.dtype()));
}

}  // namespace hinoki
