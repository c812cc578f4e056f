// What recompute needs of autograd beyond its public face.
#pragma once
#include <unordered_set>

#include "core/autograd.h"

namespace hinoki {

// While it lives, collects every leaf that is an input of an op of this thread. Recorders nest; all of them see it.
class LeafRecorder {
 public:
  LeafRecorder();
  ~LeafRecorder();
  std::vector<std::shared_ptr<Leaf>> leaves;  // in order of first use

 private:
  friend void record_leaves(const std::vector<Tensor>& inputs);
  std::unordered_set<Leaf*> seen_;
  LeafRecorder* outer_;
};

void record_leaves(const std::vector<Tensor>& inputs);

// differentiable() without the record; `inner_leaves`: there are leaves to feed even if no input needs a gradient.
std::vector<Tensor> make_node(std::vector<Tensor> ys, const std::vector<Tensor>& inputs, bool inner_leaves,
                              std::function<Grads(const std::vector<Tensor>&)> backward);

// The opposite of NoGrad: lets a backward pass run ops that are recorded.
class EnableGrad {
 public:
  EnableGrad();
  ~EnableGrad();

 private:
  bool before_;
};

}  // namespace hinoki
