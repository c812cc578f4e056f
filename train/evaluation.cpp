#include "train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "train/batch.h"

namespace hinoki {

double sum_in_order(Communicator& ranks, const std::vector<double>& mine, int64_t batches) {
  std::vector<std::vector<double>> all;
  for (int r = 0; r < ranks.size(); ++r) all.emplace_back(size_t((batches - r + ranks.size() - 1) / ranks.size()));
  std::vector<MutableBytes> receive;
  for (auto& of_rank : all) receive.push_back(std::as_writable_bytes(std::span(of_rank)));
  ranks.exchange("losses of the evaluation", std::vector<Bytes>(all.size(), std::as_bytes(std::span(mine))), receive);
  double sum = 0;
  for (int64_t i = 0; i < batches; ++i) sum += all[size_t(i % ranks.size())][size_t(i / ranks.size())];
  return sum;
}

Evaluation evaluate(const CausalLm& model, const TokenCorpus& corpus, const EvaluationOptions& options,
                    Communicator& ranks) {
  const NoGrad no_grad;
  const int64_t length = options.length, batch = options.batch;
  const Windows windows(corpus, length);
  require<Exit::data>(windows.count() > 0, corpus.folder().string(), ": the split has ", corpus.tokens(),
                      " tokens, less than one sequence of ", length, "; use a shorter sequence or more text");
  const int64_t count = options.sequences ? std::min(options.sequences, windows.count()) : windows.count();
  std::vector<double> mine;
  for (int64_t i = ranks.rank() * batch; i < count; i += ranks.size() * batch) {
    const int64_t n = std::min(batch, count - i);
    Batch made = make_batch(n, length, [&](int64_t row, std::span<int32_t> tokens) { windows.fill(i + row, tokens); });
    if (options.border) add_segments(made, *options.border);
    const Batch b = to_device(made, model.device());
    mine.push_back(model.loss(b.ids, b.labels, b.segments, {}).item());
  }
  const double nats = sum_in_order(ranks, mine, (count + batch - 1) / batch);
  require<Exit::numerical>(std::isfinite(nats), corpus.folder().string(), ": the loss is ", nats,
                           ": the model's weights are damaged, or not those of its config.json");
  return as_evaluation(corpus, nats, count * length);
}

Evaluation blended(std::span<const Evaluation> parts, std::span<const double> weights) {
  require(parts.size() == weights.size(), parts.size(), " evaluations have ", weights.size(), " weights");
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  Evaluation all;
  for (size_t k = 0; k < parts.size(); ++k) {
    const double share = weights[k] / sum;
    all.tokens += parts[k].tokens;
    all.nats_per_token += share * parts[k].nats_per_token;
    all.bits_per_character += share * parts[k].bits_per_character;
  }
  all.perplexity = std::exp(all.nats_per_token);
  return all;
}

Evaluation as_evaluation(const TokenCorpus& corpus, double nats, int64_t tokens) {
  Evaluation e{.tokens = tokens, .nats_per_token = nats / double(tokens)};
  e.perplexity = std::exp(e.nats_per_token);
  const double tokens_per_character = double(corpus.tokens()) / double(std::max<int64_t>(1, corpus.characters()));
  e.bits_per_character = e.nats_per_token * tokens_per_character / std::log(2.0);
  return e;
}

}  // namespace hinoki
