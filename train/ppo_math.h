// The arithmetic of proximal policy optimisation that no gradient goes through (Schulman et al. 2017; for language
// models Ziegler et al. 2019): advantages, whitening, the weight of the KL penalty and the scale of scores. All in
// double and in a fixed order, so that a run that goes on from a snapshot has the bits of one that never stopped.
#pragma once
#include <cstdint>
#include <span>

namespace hinoki {

// Generalised advantage estimation (Schulman et al. 2016, equation 16) over the tokens of one answer, all spans as long
// as it: delta[t] = rewards[t] + gamma * values[t + 1] - values[t], where the value after the last token is 0;
// advantages[t] = delta[t] + gamma * lambda * advantages[t + 1]; returns = advantages + values.
void advantages_and_returns(std::span<const double> rewards, std::span<const double> values, double gamma,
                            double lambda, std::span<double> advantages, std::span<double> returns);

// (x - mean) / sqrt(variance + 1e-8), plus the mean again where it is not to be shifted. The variance is the biased
// one, over n: the result then has the variance that it is said to have, 1, and a single entry is no special case (it
// becomes 0, or stays). Over n - 1, as others do it, results would be smaller by a factor of sqrt(1 - 1 / n).
void whiten(std::span<double> x, bool shift_mean = true);

// The weight of the KL penalty: fixed, or steered towards a target (Ziegler et al. 2019, section 2.2). Its state is
// beta alone: made from the beta of another and the same options, it goes on as that one would.
class KlController {
 public:
  // `target`: the KL divergence of an answer in nats that beta is steered to; 0 leaves it alone. `horizon`: the answers
  // after which beta may have changed by a fifth. Exit::usage for what cannot be.
  explicit KlController(double beta, double target = 0, double horizon = 10000);

  double beta() const { return beta_; }
  // After n answers of mean divergence kl: beta <- beta * (1 + clip(kl / target - 1, -0.2, 0.2) * n / horizon). Fails
  // with Exit::numerical where kl is not finite, with Exit::usage where n answers could turn beta's sign.
  void update(double kl, int64_t n);

 private:
  double beta_, target_, horizon_;
};

// Mean and spread of all scores so far, batch by batch (Chan et al. 1983), for dividing scores by their deviation.
class RunningScale {
 public:
  // All of it; count is a whole number, m2 the sum of squared distances from the mean.
  struct State {
    double count = 0, mean = 0, m2 = 0;
  };
  RunningScale() = default;
  explicit RunningScale(const State& state) : state_(state) {}

  const State& state() const { return state_; }
  // Exit::numerical names a score that is not finite; nothing of the batch is then counted.
  void add(std::span<const double> scores);
  // 1 / the standard deviation (over count - 1); 1 while there are fewer than two scores, or they are all alike.
  double factor() const;

 private:
  State state_;
};

}  // namespace hinoki
