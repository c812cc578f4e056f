#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/adamw.h"
#include "kernels/norm.h"

namespace hinoki {

static_assert(Parameters::kChunk == kernels::kChunk && Parameters::kChunk % kernels::kDecayWord == 0);
static_assert(Parameters::kAlign == kernels::kDecayRun, "a bit belongs to one parameter");

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

// Of the parts that learn at `step`.
Tensor decay_bits(const std::vector<OwnedPart>& parts, const std::vector<int64_t>& learns_from, int64_t step,
                  const Tensor& moments) {
  std::vector<uint32_t> words(size_t(moments.numel() / kernels::kDecayWord), 0);
  for (size_t p = 0; p < parts.size(); ++p) {
    const OwnedPart& part = parts[p];
    if (!part.parameter->decays() || step < learns_from[p]) continue;
    for (int64_t i = part.moment / kernels::kDecayRun; i * kernels::kDecayRun < part.moment + part.size; ++i)
      words[size_t(i / 32)] |= 1u << i % 32;
  }
  return to_device(from_values<uint32_t>({int64_t(words.size())}, words), moments.device());
}

template <class TensorOf>
std::string find_in(const std::vector<Parameter>& parameters, const char* what, const TensorOf& tensor_of) {
  for (const Parameter& p : parameters) {
    const Tensor x = tensor_of(p), found = empty({kernels::chunks_of(p.size())}, DType::i64, x.device());
    kernels::finite_check.run(
        found.device(), found.stream(),
        {.x = x.data(), .first = static_cast<int64_t*>(found.data()), .count = p.size(), .dtype = x.dtype()});
    const Tensor chunks = to_device(found, Device::cpu);
    for (int64_t i = 0; i < chunks.numel(); ++i)
      if (const int64_t at = chunks.as<int64_t>()[i]; at >= 0)
        return say(what, " of ", p.name, " at element ", at, " of ", p.shape);
  }
  return "";
}

}  // namespace

Optimizer::Optimizer(Parameters& parameters, const OptimizerConfig& config, const std::vector<Piece>& owned)
    : parameters_(parameters),
      config_(config),
      owned_(owned),
      parts_(parts_of(parameters, owned)),
      first_(zero_moments(parameters, owned)),
      second_(zero_moments(parameters, owned)),
      learns_from_(parts_.size(), 0) {
  set_decays(0);
}

void Optimizer::learn_from(const std::function<int64_t(const Parameter&)>& update) {
  for (size_t p = 0; p < parts_.size(); ++p) learns_from_[p] = update(*parts_[p].parameter);
  decays_ = {};
}

// Parts that learn go on learning, so their number tells which they are.
void Optimizer::set_decays(int64_t step) {
  const int64_t learning =
      std::count_if(learns_from_.begin(), learns_from_.end(), [&](int64_t from) { return from <= step; });
  if (decays_.defined() && learning == learning_) return;
  decays_ = decay_bits(parts_, learns_from_, step, first_);
  learning_ = learning;
}

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

// One pass over each piece. What lies between parameters has no gradient, and nobody reads it.
void Optimizer::update(double rate, double scale, int64_t step) {
  const DType dtype = parameters_.master_dtype();
  const auto at = [](void* flat, int64_t element, DType type) {
    return static_cast<char*>(flat) + element * int64_t(size_of(type));
  };
  set_decays(step);
  int64_t moment = 0;
  for (const Piece& piece : owned_) {
    kernels::adamw.run(
        first_.device(), first_.stream(),
        {.weight = at(parameters_.masters(), piece.begin, dtype),
         .gradient = at(parameters_.gradients(), piece.begin, dtype),
         .m = at(first_.data(), moment, dtype),
         .v = at(second_.data(), moment, dtype),
         .count = piece.size(),
         .lr = rate,
         .beta1 = config_.beta1,
         .beta2 = config_.beta2,
         .eps = config_.eps,
         .weight_decay = config_.weight_decay,
         .gradient_scale = scale,
         .step = step + 1,
         .dtype = dtype,
         .copy = parameters_.has_masters() ? at(parameters_.weights(), piece.begin, parameters_.dtype()) : nullptr,
         .decays = static_cast<const uint32_t*>(decays_.data()) + moment / kernels::kDecayWord});
    moment += piece.size();
  }
  parameters_.weight_storage().touch();
}

std::string find_not_finite_weight(const Parameters& parameters) {
  return find_in(parameters.all(), "the weights", [&](const Parameter& p) { return parameters.master(p); });
}

std::string find_not_finite_base(const Parameters& parameters) {
  return find_in(parameters.frozen(), "the weights", [](const Parameter& p) { return p.value; });
}

std::string find_not_finite(const Parameters& parameters) {
  const std::string weights = find_not_finite_weight(parameters);
  if (!weights.empty()) return weights;
  return find_in(parameters.all(), "the gradient", [](const Parameter& p) { return p.value.grad(); });
}

}  // namespace hinoki
