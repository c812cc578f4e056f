#include "models/lora.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/ops.h"

namespace hinoki {
namespace {

thread_local bool off = false;

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }

bool is_target(const LoraConfig& config, std::string_view path) {
  return config.targets.empty() ||
         std::find(config.targets.begin(), config.targets.end(), last_part(path)) != config.targets.end();
}

}  // namespace

LowRank::LowRank(const Scope& s, int64_t in, int64_t out) {
  const FrozenBase* base = s.base();
  if (base == nullptr || base->lora.rank == 0 || !is_target(base->lora, s.path())) return;
  const double bound = 1 / std::sqrt(double(in));  // PyTorch's of a linear map
  a = (s / "lora_A").adapter().parameter("weight", {base->lora.rank, in}, uniform_init(-bound, bound));
  b = (s / "lora_B").adapter().parameter("weight", {out, base->lora.rank}, zeros_init());
  factor = base->lora.factor();
}

bool LowRank::on() const { return a.defined() && !off; }

Tensor LowRank::operator()(const Tensor& x) const { return linear(scale(linear(x, a), factor), b); }

WithoutAdapters::WithoutAdapters() : before_(std::exchange(off, true)) {}
WithoutAdapters::~WithoutAdapters() { off = before_; }

void check_adapters(const Parameters& parameters) {
  std::vector<std::string> names;
  for (const Parameter& p : parameters.all())
    if (p.name.ends_with(".lora_A.weight"))
      names.emplace_back(last_part(std::string_view(p.name).substr(0, p.name.size() - 14)));
  for (const std::string& target : parameters.base()->lora.targets)
    require<Exit::usage>(std::find(names.begin(), names.end(), target) != names.end(),
                         "lora.targets: no linear map of ", "this model is called \"", target, "\"");
  require<Exit::usage>(!names.empty(), "lora: this model has no linear maps to adapt");
}

}  // namespace hinoki
