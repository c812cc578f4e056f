#include "train/ppo_math.h"

#include <algorithm>
#include <cmath>

#include "core/base/check.h"

namespace hinoki {
namespace {

constexpr double kLargestChange = 0.2;
// Scores that are all 0.1 have a mean that is 0.1 but for its last bits, and a deviation of those bits.
constexpr double kRounding = 1e-12;

struct Moments {
  double mean = 0, m2 = 0;
};

// In two passes, so that a large mean costs no precision.
Moments moments_of(std::span<const double> x) {
  Moments m;
  for (const double v : x) m.mean += v;
  if (!x.empty()) m.mean /= double(x.size());
  for (const double v : x) m.m2 += (v - m.mean) * (v - m.mean);
  return m;
}

}  // namespace

void advantages_and_returns(std::span<const double> rewards, std::span<const double> values, double gamma,
                            double lambda, std::span<double> advantages, std::span<double> returns) {
  const size_t n = rewards.size();
  require(values.size() == n && advantages.size() == n && returns.size() == n, "advantages of ", n, " rewards, ",
          values.size(), " values, ", advantages.size(), " advantages and ", returns.size(), " returns");
  double next_value = 0, next_advantage = 0;
  for (size_t t = n; t-- > 0;) {
    const double value = values[t], delta = rewards[t] + gamma * next_value - value;
    next_advantage = delta + gamma * lambda * next_advantage;
    advantages[t] = next_advantage;
    returns[t] = next_advantage + value;
    next_value = value;
  }
}

void whiten(std::span<double> x, bool shift_mean) {
  if (x.empty()) return;
  const Moments m = moments_of(x);
  const double factor = 1 / std::sqrt(m.m2 / double(x.size()) + 1e-8), mean_after = shift_mean ? 0 : m.mean;
  for (double& v : x) v = (v - m.mean) * factor + mean_after;
}

KlController::KlController(double beta, double target, double horizon)
    : beta_(beta), target_(target), horizon_(horizon) {
  require<Exit::usage>(std::isfinite(beta) && beta >= 0, "the KL penalty's beta ", beta, " is not 0 or above");
  require<Exit::usage>(std::isfinite(target) && target >= 0, "the KL penalty's target ", target,
                       " is not above 0, or 0 for a fixed beta");
  require<Exit::usage>(std::isfinite(horizon) && horizon > 0, "the KL penalty's horizon ", horizon, " is not above 0");
}

void KlController::update(double kl, int64_t n) {
  require<Exit::numerical>(std::isfinite(kl), "the KL divergence from the reference is ", kl);
  if (target_ == 0) return;
  const double share = double(n) / horizon_;
  require<Exit::usage>(n >= 0 && kLargestChange * share < 1, "the KL penalty's horizon ", horizon_,
                       " is too short for ", n, " answers at a time: it must be above ", kLargestChange * double(n));
  beta_ *= 1 + std::clamp(kl / target_ - 1, -kLargestChange, kLargestChange) * share;
}

void RunningScale::add(std::span<const double> scores) {
  if (scores.empty()) return;
  for (size_t i = 0; i < scores.size(); ++i)
    require<Exit::numerical>(std::isfinite(scores[i]), "score ", i, " of ", scores.size(), " is ", scores[i]);
  const Moments m = moments_of(scores);
  const double n = double(scores.size()), total = state_.count + n, apart = m.mean - state_.mean;
  state_.m2 += m.m2 + apart * apart * state_.count * n / total;
  state_.mean += apart * n / total;
  state_.count = total;
}

double RunningScale::factor() const {
  if (state_.count < 2) return 1;
  const double deviation = std::sqrt(state_.m2 / (state_.count - 1));
  return deviation > kRounding * std::abs(state_.mean) ? 1 / deviation : 1;
}

}  // namespace hinoki
