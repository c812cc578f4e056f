// Recipe "ppo": proximal policy optimisation of a language model that has learned to answer (Schulman et al. 2017,
// Ziegler et al. 2019, Ouyang et al. 2022). Every few steps the policy answers questions; its answers are scored, and
// the steps up to the next rollout learn from them. The loss is over the tokens of answers.
#pragma once
#include "data/tokenizer.h"
#include "train/recipe.h"
#include "train/roller.h"
#include "train/shown_sums.h"

namespace hinoki {

std::string heading_of(const PpoConfig& config);
Plan plan_of(const PpoConfig& config);
Throughput throughput_of(const PpoConfig& config);  // answers learned from
double epoch_of(const PpoConfig& config);
std::unique_ptr<Task> task_of(const PpoConfig& config, Parameters& parameters);

class PpoTask final : public Task {
 public:
  PpoTask(const PpoConfig& config, Parameters& parameters);

  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override;
  int64_t targets(const Examples& examples) const override;
  void before_step(int64_t step, Communicator& ranks) override;
  Tensor loss(const Examples& examples, const Pass& pass) const override;
  Shown after_step(Communicator& ranks) override;
  Validation validate(Communicator& ranks) const override;
  std::vector<std::string> samples(int64_t step) const override;  // of the last rollout
  void check_end() const override;
  void start_from(const std::string& folder, Parameters& parameters) const override;
  void check_snapshot(const std::string& folder) const override;
  std::function<void(const std::string& folder)> remembered() const override;
  void recall(const std::string& folder) override;
  std::function<void(const std::string& folder)> model_texts() const override;

  const Rollouts& rollouts() const { return *rollouts_; }

 private:
  void roll_out(int64_t number, Communicator& ranks);
  void show_rollout(const RolloutSums& sums);

  const PpoConfig config_;
  const Tokenizer tokenizer_;
  const Prompts prompts_, held_out_;
  const Policy policy_;
  const Reference reference_;
  const Roller roller_;
  KlController kl_;
  RunningScale scale_;
  std::shared_ptr<const Rollouts> rollouts_;  // never changed once made: a snapshot may still be written of it
  Shown rolled_;                              // of a rollout, until the step after it is told
  std::string last_rolled_;                   // its text, which every step repeats
  Roller::Seconds seconds_;                   // of all rollouts
  double learning_ = 0, since_ = 0;           // seconds
  mutable ShownSums shown_;
  mutable double largest_deviation_ = 0;
};

}  // namespace hinoki
