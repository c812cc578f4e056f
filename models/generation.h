// Texts continued token by token, many at a time.
#pragma once
#include <functional>
#include <span>

#include "models/causal_lm.h"
#include "models/sampling.h"

namespace hinoki {

struct GenerationOptions {
  Sampling sampling = {};
  int64_t max_tokens = 128;     // at most, and never past the model's positions
  int32_t end = -1;             // stops after this id; -1: never
  int64_t usable_vocab = 0;     // ids from here on are padding of the vocabulary and never drawn; 0: all are usable
  int64_t lines = 0;            // sequences that grow together; a waiting one takes the place of one that ends. 0: all
  bool log_probabilities = false;

  void check() const;  // Exit::usage
};

enum class Ending { end_token, stopped, most_tokens, no_positions };  // `stopped`: by `emit`
const char* name_of(Ending ending);

struct Generated {
  std::vector<int32_t> tokens;           // the new ones, with the end token where it came
  std::vector<float> log_probabilities;  // of each, where they were asked for: of softmax(logits / temperature)
  Ending ending = Ending::most_tokens;
};

// Exit::usage on a prompt without tokens, with ids that the model lacks or past its positions, and on bad options.
void check_generation(const CausalLm& model, std::span<const int32_t> prompt, const GenerationOptions& options);

// Sees each new id of prompt number `prompt` and says whether to go on.
using Emit = std::function<bool(size_t prompt, int32_t id)>;

// Continues each prompt (at least one token). Prompt i is sample first_sample + i: its randomness is a function of the
// seed, that number and the position, so on the CPU its tokens are bit for bit those it has alone, in any batch, on any
// number of ranks and threads.
std::vector<Generated> generate_batch(const CausalLm& model, std::span<const std::vector<int32_t>> prompts,
                                      const GenerationOptions& options, int64_t first_sample = 0,
                                      const Emit& emit = {});

// One of them: sample 0. Returns the new ids.
std::vector<int32_t> generate(const CausalLm& model, const std::vector<int32_t>& prompt, const GenerationOptions& options,
                              const std::function<bool(int32_t)>& emit = {});

}  // namespace hinoki
