#include "models/hubert_ctc.h"

#include <cmath>
#include <optional>

#include "models/check_size.h"

namespace hinoki {
namespace {

// Glorot & Bengio 2010.
Init xavier_uniform(int64_t in, int64_t out) {
  const double bound = std::sqrt(6 / double(in + out));
  return uniform_init(-bound, bound);
}

}  // namespace

HubertForCtc::HubertForCtc(const HubertModelConfig& config, int64_t vocabulary, Scope scope)
    : hubert(config, scope / "hubert"),
      dropout_(scope / "dropout", config.final_dropout),
      lm_head_((check_size("vocab_size", vocabulary, kMostIds), scope / "lm_head"), config.hidden_size, vocabulary,
               xavier_uniform(config.hidden_size, vocabulary)) {}

Tensor HubertForCtc::forward(const HubertInput& input, const Pass& pass, std::vector<Tensor>* states) const {
  Tensor hidden;
  {
    std::optional<NoGrad> no_grad;
    if (pass.training && int64_t(pass.step) < frozen_steps) no_grad.emplace();
    hidden = hubert.forward(input, pass, states).hidden;
  }
  return lm_head_(dropout_(hidden, pass));
}

std::vector<int64_t> HubertForCtc::frames(const HubertInput& input) const {
  std::vector<int64_t> frames;
  for (int64_t row = 0; row < input.samples.size(0); ++row)
    frames.push_back(
        hubert.config().frames(input.lengths.empty() ? input.samples.size(1) : input.lengths[size_t(row)]));
  return frames;
}

}  // namespace hinoki
