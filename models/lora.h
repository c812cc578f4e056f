// Low-rank adapters (LoRA, Hu et al. 2021): the weights of a base stay as they are, and beside a linear map a small one
// learns,
//   y = x W^T + b + alpha / rank * (x A^T) B^T      A [rank, in], B [out, rank]
// B begins at zero, so that training begins at the base. Names and shapes are those of Hugging Face's PEFT.
#pragma once
#include <string>
#include <vector>

#include "core/autograd.h"
#include "models/scope.h"

namespace hinoki {

// The map beside a linear map.
struct LowRank {
  Tensor a, b;  // undefined: there is none
  double factor = 0;

  LowRank() = default;
  // Of the linear map at `s`, if `s` is one of the targets.
  LowRank(const Scope& s, int64_t in, int64_t out);

  bool there() const { return a.defined(); }
  bool on() const;
  Tensor operator()(const Tensor& x) const;
};

// While it lives, passes of this thread are those of the base alone, without gradients: what a policy began as.
class WithoutAdapters {
 public:
  WithoutAdapters();
  ~WithoutAdapters();

 private:
  NoGrad no_grad_;
  bool before_;
};

// Refuses targets that no linear map of the model is named after, and a model without adapters (Exit::usage).
void check_adapters(const Parameters& parameters);

}  // namespace hinoki
