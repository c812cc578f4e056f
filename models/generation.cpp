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
  const int64_t positions = model.max_positions(), length = int64_t(prompt.size());
  const int64_t capacity = std::max(length, std::min(positions, length + std::min(positions, options.max_tokens)));
  const NoGrad no_grad;
  std::vector<KeyValueCache> caches = model.make_caches(1, capacity);
  const Sampler sample(options.sampling);
  // Of each new token only its id leaves the device.
  const Tensor ids = empty({capacity}, DType::i32, model.device());
  copy_elements(from_values<int32_t>({length}, prompt), ids.narrow(0, 0, length));
  std::vector<int32_t> made;
  for (int64_t begin = 0, end = length; end < capacity; begin = end++) {
    const Tensor hidden = model.hidden_cached(ids.narrow(0, begin, end - begin).view({1, end - begin}), caches);
    const Tensor last = contiguous(hidden.narrow(1, hidden.size(1) - 1, 1));
    const Tensor logits = cast(model.logits(last), DType::f32);
    const int64_t usable = options.usable_vocab ? std::min(options.usable_vocab, logits.numel()) : logits.numel();
    sample(logits.view({logits.numel()}).narrow(0, 0, usable), ids, end);
    const auto id = int32_t(ids.narrow(0, end, 1).item());
    made.push_back(id);
    const bool go_on = !emit || emit(id);
    if (id == options.end || !go_on) break;
  }
  return made;
}

}  // namespace hinoki
