// The task of a tiny run, whose loss a test may alter or delay, and whose batches it may deal out in another order.
#pragma once
#include "train/gpt_task.h"

namespace hinoki::test {

// Here pass.step is the number of the batch, which is that of the step as long as none was left out.
using AlterLoss = std::function<Tensor(const Tensor& loss, const Pass& pass, const Parameters& parameters)>;
using BatchOf = std::function<int64_t(int64_t step)>;

class AlteredTask final : public Task {
 public:
  AlteredTask(std::unique_ptr<Task> task, AlterLoss alter, BatchOf batch_of, const Parameters& parameters)
      : task_(std::move(task)), alter_(std::move(alter)), batch_of_(std::move(batch_of)), parameters_(parameters) {}
  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override {
    auto made = std::make_unique<Numbered>();
    made->batch = batch_of_ ? batch_of_(step) : step;
    made->given = task_->examples(made->batch, first, rows);
    made->targets = made->given->targets;
    return made;
  }
  Tensor loss(const Examples& examples, const Pass& pass) const override {
    const auto& mine = static_cast<const Numbered&>(examples);
    Pass seen = pass;
    seen.step = uint64_t(mine.batch);
    return alter_(task_->loss(*mine.given, pass), seen, parameters_);
  }
  Validation validate(Communicator& ranks) const override { return task_->validate(ranks); }
  void check_snapshot(const std::string& folder) const override { task_->check_snapshot(folder); }
  std::function<void(const std::string&)> model_texts() const override { return task_->model_texts(); }

 private:
  struct Numbered : Examples {
    std::unique_ptr<Examples> given;
    int64_t batch = 0;
  };
  std::unique_ptr<Task> task_;
  AlterLoss alter_;
  BatchOf batch_of_;
  const Parameters& parameters_;
};

struct AlteredConfig : GptConfig {
  AlterLoss alter;
  BatchOf batch_of;
  AlteredConfig(const GptConfig& config, AlterLoss alter, BatchOf batch_of = {})
      : GptConfig(config), alter(std::move(alter)), batch_of(std::move(batch_of)) {}
  const GptConfig& gpt() const { return *this; }
};
inline std::string heading_of(const AlteredConfig& c) { return hinoki::heading_of(c.gpt()); }
inline Plan plan_of(const AlteredConfig& c) { return hinoki::plan_of(c.gpt()); }
inline Throughput throughput_of(const AlteredConfig& c) { return hinoki::throughput_of(c.gpt()); }
inline double epoch_of(const AlteredConfig& c) { return hinoki::epoch_of(c.gpt()); }
inline std::unique_ptr<Task> task_of(const AlteredConfig& c, Parameters& parameters) {
  return std::make_unique<AlteredTask>(hinoki::task_of(c.gpt(), parameters), c.alter, c.batch_of, parameters);
}

}  // namespace hinoki::test
