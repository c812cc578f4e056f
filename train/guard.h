// Steps that must not change the weights: their loss or gradient is not finite, or the loss jumps.
#pragma once
#include <cmath>
#include <string>

#include "train/progress.h"
#include "train/snapshot.h"

namespace hinoki {

constexpr int64_t kUsualSteps = 50;  // that the usual loss is a mean of, about, and that must be there to judge by it

// A good step's loss enters the mean that later ones are judged by. What it holds is part of the run's state, and the
// same on all ranks, so a resumed run judges alike.
inline void remember_loss(RunState& state, double loss) {
  constexpr double kMemory = 1 - 1.0 / double(kUsualSteps);
  state.loss_sum = kMemory * state.loss_sum + loss;
  state.loss_weight = kMemory * state.loss_weight + 1;
}

// What is wrong with a step, or nothing.
inline std::string objection(const GuardConfig& guard, const StepReport& report, const RunState& before) {
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm))
    return say("the loss is ", report.loss, " and the gradient norm ", report.gradient_norm);
  if (guard.spike == 0 || before.updates < kUsualSteps) return "";
  const double usual = before.loss_sum / before.loss_weight;
  if (report.loss <= guard.spike * usual) return "";
  return say("the loss is ", report.loss, ", more than guard.spike = ", guard.spike, " times the usual ", usual);
}

}  // namespace hinoki
