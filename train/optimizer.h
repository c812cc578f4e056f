// AdamW over flat buffers, or over a rank's parts of them (ZeRO-1: Rajbhandari et al. 2020).
#pragma once
#include <functional>

#include "train/run_config.h"
#include "train/shards.h"

namespace hinoki {

// What this rank updates of a parameter, and where its moments lie.
struct OwnedPart {
  const Parameter* parameter;
  int64_t begin, size;  // elements of the parameter
  int64_t moment;       // where they begin in the moments' buffers

  Tensor of(const Tensor& whole) const { return whole.view({whole.numel()}).narrow(0, begin, size); }
};

class Optimizer {
 public:
  // `owned`: whole chunks of the flat buffers, in order.
  Optimizer(Parameters& parameters, const OptimizerConfig& config, const std::vector<Piece>& owned);
  // All of them.
  Optimizer(Parameters& parameters, const OptimizerConfig& config)
      : Optimizer(parameters, config, {{0, parameters.flat_size()}}) {}

  // A parameter learns only from the update of that number on, counted from 0; before, its gradient is zero, and with
  // this it keeps its bits, for its weight does not decay.
  void learn_from(const std::function<int64_t(const Parameter&)>& update);

  // Sums of squares of the gradient, in double, of each chunk of `pieces`, in their order.
  std::vector<double> chunk_norms(const std::vector<Piece>& pieces) const;
  // The 2-norm of all gradients times `scale`, where this rank has them whole.
  double gradient_norm(double scale) const;
  // One update from the gradients times `scale`. `step` counts updates from 0.
  void update(double rate, double scale, int64_t step);

  const std::vector<OwnedPart>& parts() const { return parts_; }
  // First and second moments of a part, and the masters it updates: views of the flat buffers.
  Tensor first_moment(const OwnedPart& p) const { return first_.narrow(0, p.moment, p.size); }
  Tensor second_moment(const OwnedPart& p) const { return second_.narrow(0, p.moment, p.size); }
  Tensor master(const OwnedPart& p) const { return p.of(parameters_.master(*p.parameter)); }
  // Of a whole parameter, where all are owned.
  Tensor first_moment(const Parameter& p) const { return moment(first_, p); }
  Tensor second_moment(const Parameter& p) const { return moment(second_, p); }
  int64_t bytes() const { return 2 * int64_t(first_.storage()->bytes()); }

 private:
  Tensor moment(const Tensor& flat, const Parameter& p) const {
    require(flat.numel() == parameters_.flat_size(), "the moments of ", p.name, " are spread over ranks");
    return flat.narrow(0, p.offset, p.size()).view(p.shape);
  }

  void set_decays(int64_t step);

  Parameters& parameters_;
  OptimizerConfig config_;
  std::vector<Piece> owned_;
  std::vector<OwnedPart> parts_;
  Tensor first_, second_;             // [owned elements]
  Tensor decays_;                     // bits, see kernels/adamw.h
  std::vector<int64_t> learns_from_;  // of each part
  int64_t learning_ = 0;              // parts that `decays_` holds
};

// Names the first parameter whose weights or gradients hold a value that is not finite: "weights of ..." and its place.
// Empty if there is none.
std::string find_not_finite(const Parameters& parameters);
std::string find_not_finite_weight(const Parameters& parameters);
std::string find_not_finite_base(const Parameters& parameters);

}  // namespace hinoki
