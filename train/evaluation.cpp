#include "train/evaluation.h"

#include <algorithm>
#include <cmath>

#include "train/batch.h"

namespace hinoki {

Evaluation evaluate(const CausalLm& model, const TokenCorpus& corpus, int64_t length, int64_t sequences,
                    int64_t batch) {
  const NoGrad no_grad;
  const Windows windows(corpus, length);
  require<Exit::data>(windows.count() > 0, corpus.folder().string(), ": the split has ", corpus.tokens(),
                      " tokens, less than one sequence of ", length, "; use a shorter sequence or more text");
  const int64_t count = sequences ? std::min(sequences, windows.count()) : windows.count();
  double nats = 0;
  for (int64_t i = 0; i < count; i += batch) {
    const int64_t n = std::min(batch, count - i);
    const Batch b =
        to_device(make_batch(n, length, [&](int64_t row, std::span<int32_t> tokens) { windows.fill(i + row, tokens); }),
                  model.device());
    nats += model.loss(b.ids, b.labels, b.segments, {}).item();
  }
  require<Exit::numerical>(std::isfinite(nats), corpus.folder().string(), ": the loss is ", nats,
                           ": the model's weights are damaged, or not those of its config.json");
  return as_evaluation(corpus, nats, count * length);
}

Evaluation as_evaluation(const TokenCorpus& corpus, double nats, int64_t tokens) {
  Evaluation e{.tokens = tokens, .nats_per_token = nats / double(tokens)};
  e.perplexity = std::exp(e.nats_per_token);
  const double tokens_per_character = double(corpus.tokens()) / double(std::max<int64_t>(1, corpus.characters()));
  e.bits_per_character = e.nats_per_token * tokens_per_character / std::log(2.0);
  return e;
}

}  // namespace hinoki
