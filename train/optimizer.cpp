#include "train/optimizer.h"

#include <cmath>

#include "kernels/adamw.h"
#include "kernels/norm.h"

namespace hinoki {

static_assert(Parameters::kChunk == kernels::kChunk);

Optimizer::Optimizer(Parameters& parameters, const OptimizerConfig& config)
    : parameters_(parameters),
      config_(config),
      first_(zeros({parameters.flat_size()}, parameters.master_dtype(), parameters.device())),
      second_(zeros({parameters.flat_size()}, parameters.master_dtype(), parameters.device())),
      partial_(empty({kernels::chunks_of(parameters.flat_size())}, DType::f64, parameters.device())) {}

double Optimizer::gradient_norm(double scale) const {
  kernels::squared_norms.run(partial_.device(), partial_.stream(),
                             {.x = parameters_.gradients(),
                              .sums = static_cast<double*>(partial_.data()),
                              .count = parameters_.flat_size(),
                              .dtype = parameters_.master_dtype()});
  const Tensor sums = to_device(partial_, Device::cpu);
  double total = 0;
  for (int64_t i = 0; i < sums.numel(); ++i) total += sums.as<double>()[i];
  return scale * std::sqrt(total);
}

void Optimizer::update(double rate, double scale, int64_t step) {
  for (const Parameter& p : parameters_.all()) {
    const Tensor m = first_moment(p), v = second_moment(p);
    kernels::adamw.run(m.device(), m.stream(),
                       {.weight = parameters_.master(p).data(),
                        .gradient = p.value.grad().data(),
                        .m = m.data(),
                        .v = v.data(),
                        .count = p.size(),
                        .lr = rate,
                        .beta1 = config_.beta1,
                        .beta2 = config_.beta2,
                        .eps = config_.eps,
                        .weight_decay = p.decays() ? config_.weight_decay : 0,
                        .gradient_scale = scale,
                        .step = step + 1,
                        .dtype = parameters_.master_dtype(),
                        .copy = parameters_.has_masters() ? p.value.data() : nullptr});
  }
  parameters_.weight_storage().touch();
}

std::string find_not_finite(const Parameters& parameters) {
  const auto find = [&](const char* what, const auto& tensor_of) -> std::string {
    for (const Parameter& p : parameters.all()) {
      const Tensor found = empty({kernels::chunks_of(p.size())}, DType::i64, parameters.device());
      kernels::finite_check.run(found.device(), found.stream(),
                                {.x = tensor_of(p).data(),
                                 .first = static_cast<int64_t*>(found.data()),
                                 .count = p.size(),
                                 .dtype = parameters.master_dtype()});
      const Tensor chunks = to_device(found, Device::cpu);
      for (int64_t i = 0; i < chunks.numel(); ++i)
        if (const int64_t at = chunks.as<int64_t>()[i]; at >= 0)
          return say(what, " of ", p.name, " at element ", at, " of ", p.shape);
    }
    return "";
  };
  const std::string weights = find("the weights", [&](const Parameter& p) { return parameters.master(p); });
  return weights.empty() ? find("the gradient", [](const Parameter& p) { return p.value.grad(); }) : weights;
}

}  // namespace hinoki
