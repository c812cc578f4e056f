// The clipped loss of a policy and its value; the gradients are made with it.
#include <algorithm>
#include <cmath>

#include "core/ops/host_rows.h"

namespace hinoki {
namespace {

void check_ppo_shapes(const Tensor& log_probs, const Tensor& values, const PpoRows& rows) {
  require(log_probs.rank() == 1, "ppo_loss: log_probs ", log_probs.shape(), " are not [rows]");
  require(values.shape() == log_probs.shape(), "ppo_loss: values ", values.shape(), " for log_probs ",
          log_probs.shape());
  const auto is_float = [](DType t) { return t == DType::f64 || t == DType::f32 || t == DType::bf16; };
  for (const auto& [name, t] : {std::pair("log_probs", log_probs), std::pair("values", values)})
    require(is_float(t.dtype()), "ppo_loss: ", name, " ", t.dtype(), t.shape(), " are not f32, f64 or bf16");
  const auto check = [&](const char* name, const Tensor& t) {
    require(t.defined(), "ppo_loss: ", name, " are undefined");
    require(t.dtype() == DType::f64 && t.shape() == log_probs.shape() && t.device() == Device::cpu && t.contiguous(),
            "ppo_loss: ", name, " ", t.dtype(), t.shape(), " on the ", t.device(), " are not f64", log_probs.shape(),
            " on the CPU");
  };
  check("old_log_probs", rows.old_log_probs);
  check("advantages", rows.advantages);
  check("old_values", rows.old_values);
  check("returns", rows.returns);
}

// One row: adds to the sums, gives the derivative.
double policy_row(double log_ratio, double advantage, double clip, PpoLoss& loss) {
  const double r = std::exp(log_ratio), deviation = std::abs(r - 1);
  const double plain = -advantage * r, clipped = -advantage * std::clamp(r, 1 - clip, 1 + clip);
  const bool is_clipped = clipped > plain;
  loss.policy += is_clipped ? clipped : plain;
  loss.clipped += is_clipped;
  loss.approximate_kl += 0.5 * log_ratio * log_ratio;
  loss.ratio += r;
  loss.ratio_squared += r * r;
  // What is no number is the largest, and stays it.
  if (deviation > loss.largest_deviation || std::isnan(deviation)) loss.largest_deviation = deviation;
  return is_clipped ? 0 : plain;
}

double value_row(double value, double old_value, double to, double clip, PpoLoss& loss) {
  const double near = old_value + std::clamp(value - old_value, -clip, clip);
  const double plain = (value - to) * (value - to), clipped = (near - to) * (near - to);
  const bool is_clipped = clipped > plain;
  loss.value += 0.5 * (is_clipped ? clipped : plain);
  loss.value_clipped += is_clipped;
  return is_clipped ? 0 : value - to;
}

}  // namespace

PpoLoss ppo_loss(const Tensor& log_probs, const Tensor& values, const PpoRows& rows, const PpoLossOptions& options) {
  check_ppo_shapes(log_probs, values, rows);
  const Tensor own_log_probs = host_rows(log_probs), own_values = host_rows(values);
  const Tensor d_log_probs = empty_like(own_log_probs), d_values = empty_like(own_values);
  PpoLoss loss;
  for (int64_t i = 0; i < own_log_probs.numel(); ++i) {
    const auto at = [i](const Tensor& t) -> double& { return t.as<double>()[i]; };
    at(d_log_probs) = policy_row(at(own_log_probs) - at(rows.old_log_probs), at(rows.advantages), options.clip, loss);
    at(d_values) = options.value_weight *
                   value_row(at(own_values), at(rows.old_values), at(rows.returns), options.value_clip, loss);
  }
  const Tensor total = zeros({}, DType::f64);
  *total.as<double>() = loss.policy + options.value_weight * loss.value;
  loss.total =
      differentiable(total, {log_probs, values},
                     [d_log_probs, d_values, log_probs_type = log_probs.dtype(), log_probs_device = log_probs.device(),
                      values_type = values.dtype(), values_device = values.device()](const Tensor& dy) -> Grads {
                       return {back_to(scale(d_log_probs, dy.item()), log_probs_type, log_probs_device),
                               back_to(scale(d_values, dy.item()), values_type, values_device)};
                     });
  return loss;
}

}  // namespace hinoki
