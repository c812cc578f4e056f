// How well a model predicts text it was not trained on.
#pragma once
#include <optional>

#include "data/batches.h"
#include "models/causal_lm.h"
#include "train/communicator.h"

namespace hinoki {

struct Evaluation {
  int64_t tokens = 0;             // predicted
  double nats_per_token = 0;
  double perplexity = 0;          // of a token
  double bits_per_character = 0;  // comparable between tokenizers
};

struct EvaluationOptions {
  int64_t length = 0;             // tokens of a window
  int64_t sequences = 0;          // so many windows from the beginning of the split; 0: all
  int64_t batch = 1;              // windows at a time
  std::optional<int32_t> border;  // the token that ends a document, where attention does not cross it
};
// Batches are dealt to the ranks, their losses summed in double and in order: the same bits on any number of ranks.
Evaluation evaluate(const CausalLm& model, const TokenCorpus& corpus, const EvaluationOptions& options,
                    Communicator& ranks);
// Batch i is rank i % size's; each brings its own in order, and all get the sum, in the order of batches.
double sum_in_order(Communicator& ranks, const std::vector<double>& mine, int64_t batches);
// Of a blend of corpora: their figures averaged by weight, and the perplexity of that average. By fixed weights, so
// that bits per character stay comparable where another tokenizer makes more tokens of one corpus than of another.
Evaluation blended(std::span<const Evaluation> parts, std::span<const double> weights);
// What `nats` over `tokens` of a corpus mean.
Evaluation as_evaluation(const TokenCorpus& corpus, double nats, int64_t tokens);

}  // namespace hinoki
