// A training run of recipe "gpt": one step at a time, and what is done between steps.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "data/prefetch.h"
#include "data/tokenizer.h"
#include "models/generation.h"
#include "train/batch.h"
#include "train/evaluation.h"
#include "train/progress.h"
#include "train/snapshot_writer.h"

namespace hinoki {

class Run {
 public:
  // Opens data and tokenizer, builds the model, and starts from the seed or from `start_from`.
  explicit Run(const GptConfig& config);
  // Goes on from a verified snapshot of this run.
  void resume(const std::string& snapshot);

  // One optimizer step over micro_batches x batch sequences. A loss or gradient that is not finite is an Error
  // (Exit::numerical) that names the first bad tensor; the weights are then those of before the step.
  StepReport step();
  Evaluation evaluate() const;
  // Continues each prompt of the config; a function of the seed and the step.
  std::vector<std::string> samples() const;
  // A save that goes on while training does, and how many seconds it held training up. step() throws what its thread
  // fails with. Weights that are not finite are never saved: Exit::numerical.
  double start_saving(std::function<void()> before_publishing = {});
  SnapshotWriter& writer();
  std::string save();  // and waits; gives the snapshot's path

  int64_t steps_done() const { return state_.step; }
  const RunState& state() const { return state_; }
  const Parameters& parameters() const { return parameters_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  const TokenCorpus& validation() const { return validation_; }
  int64_t training_tokens() const;
  std::string snapshots() const { return config_.run + "/snapshots"; }

 private:
  // All micro-batches of a step: what the prefetching thread makes.
  using StepBatches = std::vector<Batch>;
  void start_from(const std::string& folder);
  void check_end() const;
  std::vector<int32_t> prompt_ids(const std::string& prompt) const;
  GenerationOptions sample_options() const;
  StepBatches make_step(int64_t step) const;

  GptConfig config_;
  Tokenizer tokenizer_;
  std::vector<std::unique_ptr<TokenCorpus>> corpora_;
  TokenCorpus validation_;
  std::optional<Batches> batches_;
  Parameters parameters_;
  std::unique_ptr<CausalLm> model_;
  std::unique_ptr<Optimizer> optimizer_;
  RunState state_;
  std::unique_ptr<SnapshotWriter> writer_;
  std::unique_ptr<Prefetch<StepBatches>> prefetch_;  // last: it uses the others
};

}  // namespace hinoki
