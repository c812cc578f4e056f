#include "core/autograd.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/accumulate.h"
#include "core/leaf_record.h"

namespace hinoki {
namespace {

thread_local bool enabled = true;
thread_local uint64_t created = 0;

class Walk {
 public:
  explicit Walk(const LeafHook& hook) : hook_(hook) {}

  void start(const Edge& edge, Tensor cotangent) {
    if (edge.leaf) ++uses_[edge.leaf.get()];
    if (edge.node) reach(edge.node);
    seeds_.emplace_back(edge, std::move(cotangent));
  }

  void run() {
    for (auto& [edge, cotangent] : seeds_) deliver(edge, std::move(cotangent));
    std::sort(nodes_.begin(), nodes_.end(), [](const auto& a, const auto& b) { return a->order > b->order; });
    for (auto& node : nodes_) {
      step(*node);
      node.reset();
    }
  }

 private:
  // Collects all nodes below `from` and counts how often each leaf will be fed.
  void reach(const std::shared_ptr<Node>& from) {
    std::vector<std::shared_ptr<Node>> stack;
    const auto visit = [&](const std::shared_ptr<Node>& node) {
      if (seen_.insert(node.get()).second) stack.push_back(node);
    };
    visit(from);
    while (!stack.empty()) {
      const std::shared_ptr<Node> node = std::move(stack.back());
      stack.pop_back();
      require(node->backward != nullptr, "backward: this graph was already walked, and released on the way");
      for (const Edge& edge : node->inputs) {
        if (edge.leaf) ++uses_[edge.leaf.get()];
        if (edge.node) visit(edge.node);
      }
      for (const auto& leaf : node->inner_leaves) ++uses_[leaf.get()];
      nodes_.push_back(node);
    }
  }

  void step(Node& node) {
    const std::vector<Edge> inputs = std::move(node.inputs);
    const auto inner = std::move(node.inner_leaves);
    const bool reached = std::any_of(node.dy.begin(), node.dy.end(), [](const Tensor& t) { return t.defined(); });
    Grads grads(inputs.size());
    if (reached) {
      const NoGrad no_grad;
      grads = node.backward(node.dy);
      require(grads.size() == inputs.size(), "backward: ", grads.size(), " gradients for ", inputs.size(), " inputs");
    }
    node.backward = nullptr;
    node.dy.clear();
    for (size_t i = 0; i < inputs.size(); ++i) deliver(inputs[i], std::move(grads[i]));
    for (const auto& leaf : inner) count_down(leaf);
  }

  void deliver(const Edge& edge, Grad grad) {
    if (edge.node && grad.value.defined()) accumulate(edge.node->dy[edge.output], std::move(grad.value));
    if (edge.leaf) {
      if (grad.value.defined() && !grad.in_place) accumulate(*edge.leaf, std::move(grad.value));
      count_down(edge.leaf);
    }
  }

  void count_down(const std::shared_ptr<Leaf>& leaf) {
    if (--uses_[leaf.get()] == 0 && hook_) hook_(leaf);
  }

  const LeafHook& hook_;
  std::vector<std::pair<Edge, Tensor>> seeds_;
  std::vector<std::shared_ptr<Node>> nodes_;
  std::unordered_set<Node*> seen_;
  std::unordered_map<Leaf*, int> uses_;
};

bool any_needs_grad(const std::vector<Tensor>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [](const Tensor& t) { return t.needs_grad(); });
}

}  // namespace

// A long chain would otherwise be destroyed by recursion, one stack frame for each node.
Node::~Node() {
  std::vector<Edge> pending = std::move(inputs);
  while (!pending.empty()) {
    const std::shared_ptr<Node> node = std::move(pending.back().node);
    pending.pop_back();
    if (node && node.use_count() == 1)
      std::move(node->inputs.begin(), node->inputs.end(), std::back_inserter(pending)), node->inputs.clear();
  }
}

std::vector<Tensor> make_node(std::vector<Tensor> ys, const std::vector<Tensor>& inputs, bool inner_leaves,
                              std::function<Grads(const std::vector<Tensor>&)> backward) {
  if (!enabled || !(inner_leaves || any_needs_grad(inputs))) return ys;
  auto node = std::make_shared<Node>();
  node->order = created++;
  node->backward = std::move(backward);
  node->dy.resize(ys.size());
  for (const Tensor& x : inputs) node->inputs.push_back(x.edge());
  for (size_t i = 0; i < ys.size(); ++i) ys[i].set_edge({.node = node, .output = int(i), .leaf = nullptr});
  return ys;
}

std::vector<Tensor> differentiable(std::vector<Tensor> ys, const std::vector<Tensor>& inputs,
                                   std::function<Grads(const std::vector<Tensor>&)> backward) {
  record_leaves(inputs);
  return make_node(std::move(ys), inputs, false, std::move(backward));
}

Tensor differentiable(Tensor y, const std::vector<Tensor>& inputs, std::function<Grads(const Tensor&)> backward) {
  return differentiable(std::vector<Tensor>{std::move(y)}, inputs,
                        [f = std::move(backward)](const std::vector<Tensor>& dys) { return f(dys[0]); })[0];
}

Tensor make_leaf(const Tensor& x, std::string name, Tensor grad) {
  Tensor leaf = x.detach();
  leaf.set_edge({.node = nullptr,
                 .output = 0,
                 .leaf = std::make_shared<Leaf>(Leaf{.name = std::move(name), .grad = std::move(grad)})});
  return leaf;
}

void backward(const Tensor& y, const LeafHook& hook, Tensor cotangent) {
  if (!cotangent.defined()) {
    require(y.numel() == 1, "backward: a tensor of shape ", y.shape(), " needs a cotangent");
    require(y.device() == Device::cpu, "backward: a loss is on the CPU");
    cotangent = empty_like(y);
    visit_float(y.dtype(), [&]<class T>() { *cotangent.as<T>() = 1; });
  }
  backward(std::vector<Tensor>{y}, {cotangent}, hook);
}

void backward(const std::vector<Tensor>& ys, const std::vector<Tensor>& cotangents, const LeafHook& hook) {
  Walk walk(hook);
  for (size_t i = 0; i < ys.size(); ++i)
    if (cotangents[i].defined() && ys[i].needs_grad()) {
      require(cotangents[i].shape() == ys[i].shape(), "backward: cotangent is ", cotangents[i].shape(), ", the tensor ",
              ys[i].shape());
      walk.start(ys[i].edge(), cotangents[i]);
    }
  walk.run();
}

NoGrad::NoGrad() : before_(std::exchange(enabled, false)) {}
NoGrad::~NoGrad() { enabled = before_; }
bool grad_enabled() { return enabled; }
EnableGrad::EnableGrad() : before_(std::exchange(enabled, true)) {}
EnableGrad::~EnableGrad() { enabled = before_; }

bool recording(std::initializer_list<Tensor> inputs) { return enabled && any_needs_grad(inputs); }

Sink::Sink(const Tensor& input) {
  if (!input.defined()) return;
  leaf_ = input.edge().leaf;
  shape_ = input.shape();
  dtype_ = input.dtype();
  device_ = input.device();
  wanted_ = input.needs_grad();
}

Sink::Target Sink::open() const {
  if (!wanted_) return {};
  if (!leaf_ || !leaf_->grad.defined()) return {.tensor = empty(shape_, dtype_, device_)};
  return {.tensor = leaf_->grad, .accumulate = !std::exchange(leaf_->fresh, false), .in_leaf = true};
}

const Tensor& Saved::operator*() const {
  if (remake_ && !x_.defined()) {
    x_ = (*remake_)();
    version_ = x_.storage()->version();
  }
  require(!x_.defined() || x_.storage()->version() == version_, "backward: a tensor of shape ", x_.shape(),
          " was overwritten after an op saved it");
  return x_;
}

}  // namespace hinoki
