#include "core/recompute.h"

#include "core/leaf_record.h"

namespace hinoki {
namespace {

thread_local LeafRecorder* recorder = nullptr;

Grads run_again(const Segment& f, const std::vector<Saved>& saved, const std::vector<bool>& wanted,
                const std::vector<Tensor>& dys) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < saved.size(); ++i) inputs.push_back(wanted[i] ? make_leaf(*saved[i]) : *saved[i]);
  {
    const EnableGrad enable;
    const std::vector<Tensor> ys = f(inputs);
    backward(ys, dys);
  }
  Grads grads;
  for (const Tensor& x : inputs) grads.emplace_back(x.grad());
  return grads;
}

}  // namespace

std::vector<Tensor> recompute(const Segment& f, const std::vector<Tensor>& inputs) {
  if (!grad_enabled()) return f(inputs);
  LeafRecorder record;
  std::vector<Tensor> ys;
  {
    const NoGrad no_grad;
    ys = f(inputs);
  }
  std::vector<Saved> saved;
  std::vector<bool> wanted;
  for (const Tensor& x : inputs) {
    saved.emplace_back(x);
    wanted.push_back(x.needs_grad());
  }
  // Leaves used inside have no edge here, since `backward` feeds them; the walk counts them all the same.
  ys = make_node(std::move(ys), inputs, !record.leaves.empty(),
                 [f, saved, wanted](const std::vector<Tensor>& dys) { return run_again(f, saved, wanted, dys); });
  if (!ys.empty() && ys[0].edge().node) {
    std::erase_if(record.leaves, [&](const auto& leaf) {
      return std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& x) { return x.edge().leaf == leaf; });
    });
    ys[0].edge().node->inner_leaves = record.leaves;
  }
  return ys;
}

LeafRecorder::LeafRecorder() : outer_(recorder) { recorder = this; }
LeafRecorder::~LeafRecorder() { recorder = outer_; }

void record_leaves(const std::vector<Tensor>& inputs) {
  for (LeafRecorder* r = recorder; r; r = r->outer_)
    for (const Tensor& x : inputs)
      if (const auto& leaf = x.edge().leaf; leaf && r->seen_.insert(leaf.get()).second) r->leaves.push_back(leaf);
}

}  // namespace hinoki
