// Losses of pairs, a chosen and a rejected answer to one question.
#include "core/ops/host_rows.h"

namespace hinoki {
namespace {

int64_t pairs_of(const char* op, const Tensor& x) {
  require(x.rank() == 1 && x.size(0) % 2 == 0, op, ": ", x.shape(), " are not [2 * pairs] values in turns");
  return x.size(0) / 2;
}

// A loss and its derivative.
struct Slope {
  double loss, derivative;
};

Slope dpo(double margin, double beta, DpoLoss form, double smoothing) {
  const double z = beta * margin;
  switch (form) {
    case DpoLoss::sigmoid:
      return {(1 - smoothing) * softplus(-z) + smoothing * softplus(z), beta * (sigmoid(z) - (1 - smoothing))};
    case DpoLoss::hinge:
      return z < 1 ? Slope{1 - z, -beta} : Slope{0, 0};
    case DpoLoss::ipo: {
      const double off = margin - 1 / (2 * beta);
      return {off * off, 2 * off};
    }
  }
  fail("dpo_loss: unknown form");
}

}  // namespace

Tensor pairwise_loss(const Tensor& rewards, double centring) {
  const int64_t pairs = pairs_of("pairwise_loss", rewards);
  const Tensor r = host_rows(rewards), total = zeros({}, DType::f64), slopes = empty({2 * pairs}, DType::f64);
  for (int64_t i = 0; i < pairs; ++i) {
    const double* const pair = r.as<double>() + 2 * i;
    const double margin = pair[0] - pair[1], both = pair[0] + pair[1];
    *total.as<double>() += softplus(-margin) + centring * both * both;
    slopes.as<double>()[2 * i] = 2 * centring * both - sigmoid(-margin);
    slopes.as<double>()[2 * i + 1] = 2 * centring * both + sigmoid(-margin);
  }
  return differentiable(total, {rewards},
                        [slopes, dtype = rewards.dtype(), device = rewards.device()](const Tensor& dy) -> Grads {
                          return {back_to(scale(slopes, dy.item()), dtype, device)};
                        });
}

Tensor dpo_loss(const Tensor& log_probs, const Tensor& reference, double beta, DpoLoss form, double smoothing) {
  const int64_t pairs = pairs_of("dpo_loss", log_probs);
  require(reference.shape() == log_probs.shape(), "dpo_loss: ", log_probs.shape(), " log-probabilities, ",
          reference.shape(), " of the reference");
  const Tensor p = host_rows(log_probs), q = host_rows(reference);
  const Tensor total = zeros({}, DType::f64), slopes = empty({2 * pairs}, DType::f64);
  for (int64_t i = 0; i < pairs; ++i) {
    const double* const now = p.as<double>() + 2 * i;
    const double* const before = q.as<double>() + 2 * i;
    const Slope s = dpo((now[0] - before[0]) - (now[1] - before[1]), beta, form, smoothing);
    *total.as<double>() += s.loss;
    slopes.as<double>()[2 * i] = s.derivative;
    slopes.as<double>()[2 * i + 1] = -s.derivative;
  }
  return differentiable(total, {log_probs},
                        [slopes, dtype = log_probs.dtype(), device = log_probs.device()](const Tensor& dy) -> Grads {
                          return {back_to(scale(slopes, dy.item()), dtype, device)};
                        });
}

Tensor segment_sums(const Tensor& x, const std::vector<int64_t>& ends) {
  require(x.rank() == 1, "segment_sums: x ", x.shape(), " is not [rows]");
  const int64_t rows = x.size(0), count = int64_t(ends.size());
  require((ends.empty() ? 0 : ends.back()) == rows, "segment_sums: the segments end at ", ends.empty() ? 0 : ends.back(),
          ", the rows at ", rows);
  for (int64_t s = 1; s < count; ++s)
    require(ends[size_t(s - 1)] <= ends[size_t(s)], "segment_sums: segment ", s, " ends at ", ends[size_t(s)],
            ", before it begins at ", ends[size_t(s - 1)]);
  const Tensor values = host_rows(x), sums = zeros({count}, DType::f64);
  for (int64_t s = 0, i = 0; s < count; ++s)
    for (; i < ends[size_t(s)]; ++i) sums.as<double>()[s] += values.as<double>()[i];
  return differentiable(sums, {x}, [ends, dtype = x.dtype(), device = x.device(), rows](const Tensor& dy) -> Grads {
    const Tensor sums = contiguous(dy), dx = empty({rows}, DType::f64);
    int64_t i = 0;
    for (size_t s = 0; s < ends.size(); ++s)
      for (; i < ends[s]; ++i) dx.as<double>()[i] = sums.as<double>()[s];
    return {back_to(dx, dtype, device)};
  });
}

}  // namespace hinoki
