#include "models/generation.h"

#include <algorithm>

namespace hinoki {

void check_generation(const CausalLm& model, const std::vector<int32_t>& prompt, const GenerationOptions& options) {
  options.sampling.check();
  require<Exit::usage>(options.max_tokens >= 0, "generate: ", options.max_tokens, " new tokens are negative");
  require<Exit::usage>(!prompt.empty(), "generate: the prompt has no tokens; give some text or a begin-of-text id");
  require<Exit::usage>(int64_t(prompt.size()) < model.max_positions() || options.max_tokens == 0,
                       "generate: the prompt has ", prompt.size(), " tokens, the model's positions end at ",
                       model.max_positions(), "; give a shorter one");
  const int64_t vocabulary = model.head().size(0);
  for (const int32_t id : prompt)
    require<Exit::usage>(0 <= id && id < vocabulary, "generate: token id ", id, " is not in the model's vocabulary of ",
                         vocabulary);
}

std::vector<int32_t> generate(const CausalLm& model, const std::vector<int32_t>& prompt,
                              const GenerationOptions& options, const std::function<bool(int32_t)>& emit) {
  check_generation(model, prompt, options);
  const int64_t positions = model.max_positions();
  const int64_t capacity = std::min(positions, int64_t(prompt.size()) + std::min(positions, options.max_tokens));
  const NoGrad no_grad;
  std::vector<KeyValueCache> caches = model.make_caches(1, capacity);
  Sampler sample(options.sampling);
  std::vector<int32_t> all = prompt;
  std::vector<int32_t> fresh = prompt;
  while (int64_t(all.size()) < capacity) {
    const Tensor ids = to_device(from_values<int32_t>({1, int64_t(fresh.size())}, fresh), model.device());
    const Tensor hidden = model.hidden_cached(ids, caches);
    const Tensor last = contiguous(hidden.narrow(1, hidden.size(1) - 1, 1));
    const Tensor logits = to_device(cast(model.logits(last), DType::f32), Device::cpu);
    const int64_t usable = options.usable_vocab ? std::min(options.usable_vocab, logits.numel()) : logits.numel();
    const int32_t id = sample({logits.as<float>(), size_t(usable)}, all);
    all.push_back(id);
    fresh = {id};
    const bool go_on = !emit || emit(id);
    if (id == options.end || !go_on) break;
  }
  return {all.begin() + int64_t(prompt.size()), all.end()};
}

}  // namespace hinoki
