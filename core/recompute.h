// recompute(f, x): trade memory for a second forward pass (Chen et al., "Training deep nets with sublinear memory
// cost").
#pragma once
#include "core/autograd.h"

namespace hinoki {

using Segment = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

// f(inputs), keeping only the inputs. The backward pass runs f again with recording on, so f must be a function of its
// inputs and of leaves alone; dropout qualifies because its mask is a function too. A leaf used inside is announced to
// the hook after its last use over the whole graph, like any other.
std::vector<Tensor> recompute(const Segment& f, const std::vector<Tensor>& inputs);

}  // namespace hinoki
