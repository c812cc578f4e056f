// Tokens one after another, with the keys and values of earlier ones kept.
#pragma once
#include <functional>

#include "models/causal_lm.h"
#include "models/sampling.h"

namespace hinoki {

struct GenerationOptions {
  Sampling sampling;
  int64_t max_tokens = 128;     // at most, and never past the model's positions
  int32_t end = -1;             // stops after this id; -1: never
  int64_t usable_vocab = 0;     // ids from here on are padding of the vocabulary and never drawn; 0: all are usable
};

// Exit::usage on a prompt without tokens, with ids that the model lacks or past its positions, and on bad options.
void check_generation(const CausalLm& model, const std::vector<int32_t>& prompt, const GenerationOptions& options);

// Continues `prompt` (at least one token). `emit` sees each new id and says whether to go on. Returns the new ids.
std::vector<int32_t> generate(const CausalLm& model, const std::vector<int32_t>& prompt, const GenerationOptions& options,
                              const std::function<bool(int32_t)>& emit = {});

}  // namespace hinoki
