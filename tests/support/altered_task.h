// The task of a tiny run, whose loss a test may alter or delay.
#pragma once
#include "train/gpt_task.h"

namespace hinoki::test {

using AlterLoss = std::function<Tensor(const Tensor& loss, const Pass& pass, const Parameters& parameters)>;

class AlteredTask final : public Task {
 public:
  AlteredTask(std::unique_ptr<Task> task, AlterLoss alter, const Parameters& parameters)
      : task_(std::move(task)), alter_(std::move(alter)), parameters_(parameters) {}
  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override {
    return task_->examples(step, first, rows);
  }
  Tensor loss(const Examples& examples, const Pass& pass) const override {
    return alter_(task_->loss(examples, pass), pass, parameters_);
  }
  Validation validate(Communicator& ranks) const override { return task_->validate(ranks); }
  void check_snapshot(const std::string& folder) const override { task_->check_snapshot(folder); }
  std::function<void(const std::string&)> model_texts() const override { return task_->model_texts(); }

 private:
  std::unique_ptr<Task> task_;
  AlterLoss alter_;
  const Parameters& parameters_;
};

struct AlteredConfig : GptConfig {
  AlterLoss alter;
  AlteredConfig(const GptConfig& config, AlterLoss alter) : GptConfig(config), alter(std::move(alter)) {}
  const GptConfig& gpt() const { return *this; }
};
inline std::string heading_of(const AlteredConfig& c) { return hinoki::heading_of(c.gpt()); }
inline Plan plan_of(const AlteredConfig& c) { return hinoki::plan_of(c.gpt()); }
inline Throughput throughput_of(const AlteredConfig& c) { return hinoki::throughput_of(c.gpt()); }
inline double epoch_of(const AlteredConfig& c) { return hinoki::epoch_of(c.gpt()); }
inline std::unique_ptr<Task> task_of(const AlteredConfig& c, Parameters& parameters) {
  return std::make_unique<AlteredTask>(hinoki::task_of(c.gpt(), parameters), c.alter, parameters);
}

}  // namespace hinoki::test
