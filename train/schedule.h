// The learning rate as a function of the step.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "core/base/check.h"

namespace hinoki {

enum class Decay { constant, linear, cosine };
constexpr auto enum_names(Decay) { return std::array{"constant", "linear", "cosine"}; }

// Rises linearly to `peak` over `warmup` steps, then falls to `floor` at the last step by the chosen curve.
struct Schedule {
  double peak = 6e-4;
  double floor = 0;
  int64_t warmup = 0;
  Decay decay = Decay::cosine;
  int64_t decay_steps = 0;  // the step at which the floor is reached; 0: the last one

  template <class Visitor>
  void fields(Visitor& v) {
    v("peak", peak);
    v("floor", floor);
    v("warmup", warmup);
    v("decay", decay);
    v("decay_steps", decay_steps);
  }
  void check() const {
    require<Exit::usage>(peak >= 0 && floor >= 0 && floor <= peak, "the learning rate's floor ", floor,
                         " is not between 0 and its peak ", peak);
    require<Exit::usage>(warmup >= 0 && decay_steps >= 0, "the learning rate's warmup and decay_steps are step counts");
  }

  // `step` counts from 0, of `steps` in all.
  double at(int64_t step, int64_t steps) const {
    if (step < warmup) return peak * double(step + 1) / double(warmup);
    const int64_t end = decay_steps ? decay_steps : steps;
    if (decay == Decay::constant) return peak;
    const double t = std::clamp(double(step - warmup) / double(std::max<int64_t>(1, end - warmup)), 0.0, 1.0);
    const double left = decay == Decay::linear ? 1 - t : 0.5 * (1 + std::cos(t * 3.141592653589793));
    return floor + (peak - floor) * left;
  }
};

}  // namespace hinoki
