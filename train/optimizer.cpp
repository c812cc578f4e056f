#include "train/optimizer.h"

#include <cmath>
#include <cstring>

#include "kernels/adamw.h"
#include "kernels/norm.h"

namespace hinoki {

static_assert(Parameters::kChunk == kernels::kChunk);

Optimizer::Optimizer(Parameters& parameters, const OptimizerConfig& config)
    : parameters_(parameters),
      config_(config),
      first_(zeros({parameters.flat_size()}, parameters.dtype())),
      second_(zeros({parameters.flat_size()}, parameters.dtype())),
      partial_(empty({kernels::chunks_of(parameters.flat_size())}, DType::f64)) {}

double Optimizer::gradient_norm(double scale) const {
  kernels::squared_norms.run(Device::cpu, {},
                             {.x = parameters_.gradients(), .sums = partial_.as<double>(),
                              .count = parameters_.flat_size(), .dtype = parameters_.dtype()});
  double total = 0;
  for (int64_t i = 0; i < partial_.numel(); ++i) total += partial_.as<double>()[i];
  return scale * std::sqrt(total);
}

void Optimizer::update(double rate, double scale, int64_t step) {
  for (const Parameter& p : parameters_.all()) {
    const Tensor m = first_moment(p), v = second_moment(p);
    kernels::adamw.run(Device::cpu, {},
                       {.weight = p.value.data(), .gradient = p.value.grad().data(), .m = m.data(), .v = v.data(),
                        .count = p.size(), .lr = rate, .beta1 = config_.beta1, .beta2 = config_.beta2,
                        .eps = config_.eps, .weight_decay = p.decays() ? config_.weight_decay : 0,
                        .gradient_scale = scale, .step = step + 1, .dtype = parameters_.dtype()});
  }
  parameters_.weight_storage().touch();
}

std::string find_not_finite(const Parameters& parameters) {
  const auto find = [&](const char* what, const auto& tensor_of) -> std::string {
    for (const Parameter& p : parameters.all()) {
      const Tensor chunks = empty({kernels::chunks_of(p.size())}, DType::i64);
      kernels::finite_check.run(Device::cpu, {},
                                {.x = tensor_of(p).data(), .first = chunks.as<int64_t>(), .count = p.size(),
                                 .dtype = parameters.dtype()});
      for (int64_t i = 0; i < chunks.numel(); ++i)
        if (const int64_t at = chunks.as<int64_t>()[i]; at >= 0)
          return say(what, " of ", p.name, " at element ", at, " of ", p.shape);
    }
    return "";
  };
  const std::string weights = find("the weights", [](const Parameter& p) { return p.value; });
  return weights.empty() ? find("the gradient", [](const Parameter& p) { return p.value.grad(); }) : weights;
}

}  // namespace hinoki
