// AdamW over flat buffers.
#pragma once
#include "models/scope.h"
#include "train/gpt_config.h"

namespace hinoki {

class Optimizer {
 public:
  Optimizer(Parameters& parameters, const OptimizerConfig& config);

  // The 2-norm of the gradients times `scale`, summed chunk by chunk in a fixed order in double.
  double gradient_norm(double scale) const;
  // One update from the gradients times `scale`. `step` counts from 0.
  void update(double rate, double scale, int64_t step);

  // First and second moments of a parameter, as views of the flat buffers.
  Tensor first_moment(const Parameter& p) const { return moment(first_, p); }
  Tensor second_moment(const Parameter& p) const { return moment(second_, p); }
  int64_t bytes() const { return 2 * int64_t(first_.storage()->bytes()); }

 private:
  Tensor moment(const Tensor& flat, const Parameter& p) const {
    return flat.narrow(0, p.offset, p.size()).view(p.shape);
  }

  Parameters& parameters_;
  OptimizerConfig config_;
  Tensor first_, second_;    // [flat size]
  mutable Tensor partial_;   // f64 [chunks]
};

// Names the first parameter whose weights or gradients hold a value that is not finite: "weights of ..." and its place.
// Empty if there is none.
std::string find_not_finite(const Parameters& parameters);

}  // namespace hinoki
