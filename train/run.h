// A training run of any recipe: one step at a time, and what is done between steps.
#pragma once
#include <optional>

#include "data/prefetch.h"
#include "train/progress.h"
#include "train/recipe.h"
#include "train/reducer.h"
#include "train/saving.h"
#include "train/step_sums.h"

namespace hinoki {

class Run {
 public:
  // Opens the data, builds the model, and starts from the seed or from `start_from`. Every rank makes its own Run of
  // the same recipe, and calls what follows at the same time as the others.
  Run(const Recipe& recipe, Communicator& ranks);
  template <std::derived_from<RunConfig> Config>
  Run(const Config& config, Communicator& ranks) : Run(RecipeOf<Config>(config), ranks) {}
  template <std::derived_from<RunConfig> Config>
  explicit Run(const Config& config) : Run(config, alone_) {}
  // Goes on from a verified snapshot of this run.
  void resume(const std::string& snapshot);
  // All ranks hold the same weights, and their GPUs find each other. Not part of the constructor, which may fail at one
  // rank alone.
  void meet();

  // One optimizer step over micro_batches x batch rows of data, of all ranks together. A loss or gradient that is not
  // finite, or a loss that jumps, leaves the weights as they were; it is an Error (Exit::numerical) that names the
  // first bad tensor, or the report tells that the batch was skipped, or that the run went back (config.guard).
  // `stop`: the signal that asks this rank to stop, or 0; the report has that of any rank.
  StepReport step(int stop = 0);
  Validation validate() const { return task_->validate(ranks_); }
  std::vector<std::string> samples() const { return task_->samples(state_.step); }
  // A save that goes on while training does, and how many seconds it held training up. step() throws what its thread
  // fails with. Weights that are not finite are never saved: Exit::numerical.
  double start_saving(std::function<void()> before_publishing = {});
  void finish_saving() { saving_->finish(); }
  void settle_saving() { saving_->settle(); }
  std::optional<SnapshotWriter::Saved> saved() { return saving_->finished(); }  // since it was last asked; rank 0's
  std::string save();  // and waits; gives the snapshot's path at rank 0

  bool sharded() const { return config_.train.zero > 0 && !ranks_.alone(); }  // the optimizer's state over ranks
  int64_t steps_done() const { return state_.step; }
  const RunState& state() const { return state_; }
  const Recipe& recipe() const { return *recipe_; }  // as given, with reduction_slots chosen
  const RunConfig& config() const { return config_; }
  const Parameters& parameters() const { return parameters_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  Communicator& ranks() const { return ranks_; }
  int64_t reduction_bytes() const { return reducer_->buffer_bytes(); }
  std::string snapshots() const { return config_.run + "/snapshots"; }

 private:
  // This rank's micro-batches of a step, by slot: what the prefetching thread makes.
  using StepExamples = std::vector<std::unique_ptr<Examples>>;
  void start_from(const std::string& folder);
  SnapshotTexts texts() const;
  int64_t first_micro_batch() const { return ranks_.rank() * config_.train.micro_batches / ranks_.size(); }
  int64_t micro_batches() const { return config_.train.micro_batches / ranks_.size(); }
  int64_t slots() const { return config_.train.reduction_slots / ranks_.size(); }
  StepExamples make_step(int64_t step, int64_t shift) const;
  // Forward and backward passes of this rank's slots; the gradients of all ranks are added.
  StepSums accumulate(const StepExamples& examples);
  // What was wrong with a step and where, with `damaged` if the weights are.
  std::string describe_bad(const std::string& wrong, bool& damaged);
  void skip_or_stop(const std::string& what, bool damaged);
  StepReport::Rewind rewind(const std::string& what);

  Solo alone_;  // the ranks of a run that was given none
  Communicator& ranks_;
  std::unique_ptr<Recipe> recipe_;
  const RunConfig& config_;
  Parameters parameters_;
  std::unique_ptr<Task> task_;
  std::optional<Shards> shards_;
  std::unique_ptr<Reducer> reducer_;
  std::unique_ptr<Optimizer> optimizer_;
  RunState state_;
  std::unique_ptr<Saving> saving_;
  std::unique_ptr<Prefetch<StepExamples>> prefetch_;  // last: it uses the others
};

}  // namespace hinoki
