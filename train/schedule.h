// The learning rate as a function of the step.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "core/base/check.h"

namespace hinoki {

enum class Decay { constant, linear, cosine, exponential };
constexpr auto enum_names(Decay) { return std::array{"constant", "linear", "cosine", "exponential"}; }

// Rises linearly to `peak` over `warmup` steps, stays there for `hold`, then falls to `floor` at the last step by the
// chosen curve. The tri-stage schedule of fine-tuned recognisers (SpecAugment: Park et al. 2019) is a start of 1 % of
// the peak, a hold, and an exponential decay to 5 %.
struct Schedule {
  double peak = 6e-4;
  double floor = 0;
  double start = 0;  // the rate of the first step, if there is a warmup; 0: as much as every step of it adds
  int64_t warmup = 0;
  int64_t hold = 0;
  Decay decay = Decay::cosine;
  int64_t decay_steps = 0;  // the step at which the floor is reached; 0: the last one

  template <class Visitor>
  void fields(Visitor& v) {
    v("peak", peak);
    v("floor", floor);
    v("start", start);
    v("warmup", warmup);
    v("hold", hold);
    v("decay", decay);
    v("decay_steps", decay_steps);
  }
  void check() const {
    require<Exit::usage>(peak >= 0 && floor >= 0 && floor <= peak, "the learning rate's floor ", floor,
                         " is not between 0 and its peak ", peak);
    require<Exit::usage>(start >= 0 && start <= peak, "the learning rate's start ", start,
                         " is not between 0 and its peak ", peak);
    require<Exit::usage>(warmup >= 0 && hold >= 0 && decay_steps >= 0,
                         "the learning rate's warmup, hold and decay_steps are step counts");
    require<Exit::usage>(decay != Decay::exponential || floor > 0,
                         "the learning rate never decays to a floor of 0 exponentially; give one above it");
  }

  // `step` counts from 0, of `steps` in all.
  double at(int64_t step, int64_t steps) const {
    if (step < warmup)
      return start > 0 ? start + (peak - start) * double(step) / double(warmup)
                       : peak * double(step + 1) / double(warmup);
    const int64_t begin = warmup + hold, end = decay_steps ? decay_steps : steps;
    if (decay == Decay::constant) return peak;
    const double t = std::clamp(double(step - begin) / double(std::max<int64_t>(1, end - begin)), 0.0, 1.0);
    if (decay == Decay::exponential) return peak * std::pow(floor / peak, t);
    const double left = decay == Decay::linear ? 1 - t : 0.5 * (1 + std::cos(t * 3.141592653589793));
    return floor + (peak - floor) * left;
  }
};

}  // namespace hinoki
