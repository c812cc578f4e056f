// Gradients of eager computations: one closure per op, whose capture list is all that the backward pass keeps alive.
// No double backward, no forward mode.
#pragma once
#include <functional>
#include <vector>

#include "core/tensor.h"

namespace hinoki {

// The end of a gradient's way: a parameter. `grad` may be a slice of a flat buffer that ops write into directly.
struct Leaf {
  std::string name;
  Tensor grad;
  bool fresh = true;  // nothing was written into `grad` since the gradients were last cleared: overwrite, don't add
};

// A gradient on its way back. Undefined: none. `in_place`: an op has already added it to the leaf's buffer.
struct Grad {
  Tensor value;
  bool in_place = false;
  Grad() = default;
  Grad(Tensor value, bool in_place = false) : value(std::move(value)), in_place(in_place) {}
};
using Grads = std::vector<Grad>;

struct Node {
  uint64_t order;  // of creation
  std::vector<Edge> inputs;
  std::function<Grads(const std::vector<Tensor>&)> backward;  // gradients of the outputs (undefined where none came)
  std::vector<Tensor> dy;
  std::vector<std::shared_ptr<Leaf>> inner_leaves;  // that `backward` feeds without an edge (recompute)
  ~Node();
};

// Makes `y` the output of an op over `inputs`. `backward(dy)` returns one Grad for each input. Without an input that
// needs a gradient, or under NoGrad, nothing is kept.
Tensor differentiable(Tensor y, const std::vector<Tensor>& inputs, std::function<Grads(const Tensor& dy)> backward);
// The same for several outputs; a gradient that never arrives is undefined.
std::vector<Tensor> differentiable(std::vector<Tensor> ys, const std::vector<Tensor>& inputs,
                                   std::function<Grads(const std::vector<Tensor>& dys)> backward);

// Makes x a leaf. Its gradient goes to `grad` if given, else to a tensor made when the first gradient arrives.
Tensor make_leaf(const Tensor& x, std::string name = "", Tensor grad = {});

// Called once for each leaf, as soon as its gradient is complete.
using LeafHook = std::function<void(const std::shared_ptr<Leaf>&)>;

// Adds d<cotangent, y>/dleaf to every leaf that y depends on. The cotangent may be left out for a single value (1).
// The graph is walked in reverse order of creation, and each node is released as soon as it has run.
void backward(const Tensor& y, const LeafHook& hook = {}, Tensor cotangent = {});
void backward(const std::vector<Tensor>& ys, const std::vector<Tensor>& cotangents, const LeafHook& hook = {});

// While it lives, ops of this thread record nothing.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();

 private:
  bool before_;
};
bool grad_enabled();
// Would an op over these inputs be recorded? Lets an op skip work that only its backward pass needs.
bool recording(std::initializer_list<Tensor> inputs);

// Where a closure puts the gradient of one of its inputs: straight into a leaf's buffer if it has one. Captured in the
// forward pass in place of the input itself, so it keeps no data alive.
class Sink {
 public:
  explicit Sink(const Tensor& input);
  // Of a parameter: its gradient is kept in `dtype`.
  Sink(const Tensor& parameter, DType dtype) : Sink(parameter) { dtype_ = dtype; }
  bool wanted() const { return wanted_; }

  struct Target {
    Tensor tensor;
    bool accumulate = false;  // add to what `tensor` holds; otherwise overwrite it
    bool in_leaf = false;
    void* data() const { return tensor.defined() ? tensor.data() : nullptr; }
    operator Grad() const { return {tensor, in_leaf}; }
  };
  // Undefined if no gradient is wanted.
  Target open() const;

 private:
  std::shared_ptr<Leaf> leaf_;
  Shape shape_;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
  bool wanted_ = false;
};

// A captured tensor that notices if somebody wrote into its memory since. One that can be made again is not kept: its
// elements come back when they are asked for, and stay until the closure is released.
class Saved {
 public:
  explicit Saved(const Tensor& x)
      : x_(x.remake() ? Tensor() : x.detach()),
        remake_(x.remake()),
        version_(x_.defined() ? x_.storage()->version() : 0) {}
  const Tensor& operator*() const;
  const Tensor* operator->() const { return &**this; }

 private:
  mutable Tensor x_;
  std::shared_ptr<const Remake> remake_;
  mutable uint64_t version_;
};

}  // namespace hinoki
