#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/adamw.h"
#include "kernels/norm.h"

namespace hinoki {

static_assert(Parameters::kChunk == kernels::kChunk);

namespace {

std::vector<OwnedPart> parts_of(const Parameters& parameters, const std::vector<Piece>& owned) {
  std::vector<OwnedPart> parts;
  int64_t moment = 0;
  for (const Piece& piece : owned) {
    for (const Parameter& p : parameters.all()) {
      const int64_t begin = std::max(piece.begin, p.offset), end = std::min(piece.end, p.offset + p.size());
      if (begin < end) parts.push_back({&p, begin - p.offset, end - begin, moment + begin - piece.begin});
    }
    moment += piece.size();
  }
  return parts;
}

Tensor zero_moments(const Parameters& parameters, const std::vector<Piece>& owned) {
  int64_t elements = 0;
  for (const Piece& piece : owned) elements += piece.size();
  return zeros({elements}, parameters.master_dtype(), parameters.device());
}

}  // namespace

Optimizer::Optimizer(Parameters& parameters, const OptimizerConfig& config, const std::vector<Piece>& owned)
    : parameters_(parameters),
      config_(config),
      parts_(parts_of(parameters, owned)),
      first_(zero_moments(parameters, owned)),
      second_(zero_moments(parameters, owned)) {}

std::vector<double> Optimizer::chunk_norms(const std::vector<Piece>& pieces) const {
  int64_t chunks = 0;
  for (const Piece& p : pieces) chunks += kernels::chunks_of(p.size());
  const Tensor sums = empty({chunks}, DType::f64, parameters_.device());
  int64_t at = 0;
  for (const Piece& p : pieces) {
    kernels::squared_norms.run(sums.device(), sums.stream(),
                               {.x = static_cast<const char*>(parameters_.gradients()) +
                                     p.begin * int64_t(size_of(parameters_.master_dtype())),
                                .sums = static_cast<double*>(sums.data()) + at,
                                .count = p.size(),
                                .dtype = parameters_.master_dtype()});
    at += kernels::chunks_of(p.size());
  }
  const Tensor here = to_device(sums, Device::cpu);
  return {here.as<double>(), here.as<double>() + chunks};
}

double Optimizer::gradient_norm(double scale) const {
  const std::vector<double> norms = chunk_norms({{0, parameters_.flat_size()}});
  return scale * std::sqrt(std::accumulate(norms.begin(), norms.end(), 0.0));
}

void Optimizer::update(double rate, double scale, int64_t step) {
  for (const OwnedPart& part : parts_) {
    const Parameter& p = *part.parameter;
    const Tensor m = first_moment(part);
    kernels::adamw.run(m.device(), m.stream(),
                       {.weight = master(part).data(),
                        .gradient = part.of(p.value.grad()).data(),
                        .m = m.data(),
                        .v = second_moment(part).data(),
                        .count = part.size,
                        .lr = rate,
                        .beta1 = config_.beta1,
                        .beta2 = config_.beta2,
                        .eps = config_.eps,
                        .weight_decay = p.decays() ? config_.weight_decay : 0,
                        .gradient_scale = scale,
                        .step = step + 1,
                        .dtype = parameters_.master_dtype(),
                        .copy = parameters_.has_masters() ? part.of(p.value.detach()).data() : nullptr});
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
