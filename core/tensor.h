// Tensor: a strided view of shared storage, and its place in the gradient graph. It does no arithmetic.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/base/shape.h"
#include "core/base/stream.h"
#include "core/storage.h"

namespace hinoki {

struct Node;  // core/autograd.h
struct Leaf;

// Where the gradient of a tensor goes: to an output of the op that made it, or into a leaf, or nowhere.
struct Edge {
  std::shared_ptr<Node> node;
  int output = 0;
  std::shared_ptr<Leaf> leaf;
  explicit operator bool() const { return node || leaf; }
};

class Tensor;
// Makes a tensor's elements a second time, bit for bit.
using Remake = std::function<Tensor()>;

class Tensor {
 public:
  Tensor() = default;  // undefined
  Tensor(std::shared_ptr<Storage> storage, int64_t offset, Shape shape, Shape strides, DType dtype);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  const Shape& strides() const { return strides_; }  // in elements
  int64_t size(int axis) const { return shape_[axis]; }
  int rank() const { return shape_.rank(); }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  Device device() const { return storage_->device(); }
  Stream stream() const { return {}; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  bool contiguous() const { return strides_ == shape_.strides(); }

  void* data() const {
    if (Arrival* const arrival = storage_->arrival()) wait(*arrival);
    return static_cast<char*>(storage_->data()) + offset_ * int64_t(size_of(dtype_));
  }
  // The elements, for the program to read and write: on the CPU only.
  template <class T>
  T* as() const {
    require(dtype_ == dtype_of<T>(), "tensor holds ", dtype_, ", not ", dtype_of<T>());
    require(device() == Device::cpu, "this tensor's elements are on the ", device());
    return static_cast<T*>(data());
  }
  // The value of a tensor of one element, as a double.
  double item() const;

  // Views of the same memory that gradients do not see; the differentiable ones are in core/ops.h.
  Tensor view(const Shape& shape) const;  // contiguous tensors only
  Tensor narrow(int axis, int64_t begin, int64_t size) const;
  Tensor swap(int axis_a, int axis_b) const;
  Tensor detach() const;

  const Edge& edge() const { return edge_; }
  void set_edge(Edge edge) { edge_ = std::move(edge); }
  bool needs_grad() const { return bool(edge_); }
  // Undefined, or how the op that made this tensor would make it again from what its own backward pass keeps anyhow:
  // backward passes then need not keep it (Saved, core/autograd.h). It is made once for all of them, and lives until the
  // last one is released. Views don't have it.
  const std::shared_ptr<const Remake>& remake() const { return remake_; }
  void set_remake(Remake remake);
  // The gradient accumulated in a leaf; undefined if there is none.
  Tensor grad() const;

 private:
  void wait(Arrival& arrival) const;

  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;
  Shape shape_, strides_;
  DType dtype_ = DType::f32;
  Edge edge_;
  std::shared_ptr<const Remake> remake_;
};

Tensor empty(const Shape& shape, DType dtype, Device device = Device::cpu);
Tensor empty_like(const Tensor& x);
Tensor zeros(const Shape& shape, DType dtype, Device device = Device::cpu);
// x itself if it is there already, else a copy; x is contiguous. Gradients do not pass.
Tensor to_device(const Tensor& x, Device device);
// Sets every element of a contiguous tensor to zero.
void set_zero(const Tensor& x);
// Copies the elements of contiguous tensors of equal shape and dtype, from any device to any.
void copy_elements(const Tensor& from, const Tensor& to);
// A contiguous tensor with these elements, row-major.
template <class T>
Tensor from_values(const Shape& shape, std::span<const T> values) {
  Tensor t = empty(shape, dtype_of<T>());
  require(t.numel() == int64_t(values.size()), values.size(), " values for shape ", shape);
  std::copy(values.begin(), values.end(), t.as<T>());
  return t;
}

}  // namespace hinoki
