// Recipe "dpo": direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290). A language model that has
// learned to answer makes chosen answers likelier than rejected ones, against what it began as.
#pragma once
#include "data/tokenizer.h"
#include "train/preference_pairs.h"
#include "train/recipe.h"
#include "train/reference.h"

namespace hinoki {

std::string heading_of(const DpoConfig& config);
Plan plan_of(const DpoConfig& config);
Throughput throughput_of(const DpoConfig& config);  // tokens of rows
double epoch_of(const DpoConfig& config);
std::unique_ptr<Task> task_of(const DpoConfig& config, Parameters& parameters);

class DpoTask final : public Task {
 public:
  DpoTask(const DpoConfig& config, Parameters& parameters);

  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  Shown after_step(Communicator& ranks) override;
  Validation validate(Communicator& ranks) const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> model_texts() const override;

 private:
  // Rewards are the implicit ones, beta * (log p - log p of the reference).
  PreferencePairs::Judged judge(const PairExamples& examples, const Pass& pass) const;

  const DpoConfig config_;
  const Tokenizer tokenizer_;
  const PreferencePairs pairs_;
  std::unique_ptr<CausalLm> model_;
  std::unique_ptr<Reference> reference_;
  mutable ShownSums shown_;
};

}  // namespace hinoki
