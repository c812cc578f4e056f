// Recipe "reward": a model learns to tell the better of two answers (Ouyang et al. 2022). The loss is over pairs; the
// folder is one that transformers opens for sequence classification with one label.
#pragma once
#include "data/tokenizer.h"
#include "models/reward_model.h"
#include "train/preference_pairs.h"
#include "train/recipe.h"

namespace hinoki {

std::string heading_of(const RewardConfig& config);
Plan plan_of(const RewardConfig& config);
Throughput throughput_of(const RewardConfig& config);  // tokens of rows
double epoch_of(const RewardConfig& config);
std::unique_ptr<Task> task_of(const RewardConfig& config, Parameters& parameters);

class RewardTask final : public Task {
 public:
  RewardTask(const RewardConfig& config, Parameters& parameters);

  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  Shown after_step(Communicator& ranks) override;
  Validation validate(Communicator& ranks) const override;
  void start_from(const std::string& folder, Parameters& parameters) const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> model_texts() const override;

 private:
  PreferencePairs::Judged judge(const PairExamples& examples, const Pass& pass) const;

  const RewardConfig config_;
  const Tokenizer tokenizer_;
  const PreferencePairs pairs_;
  RewardModel model_;
  mutable ShownSums shown_;
};

}  // namespace hinoki
