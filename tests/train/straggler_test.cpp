// A rank that is slower than the others is named, with how much slower it is.
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_run.h"
#include "train/train_loop.h"

namespace hinoki {
namespace {

// A task that takes its time.
class SlowTask final : public Task {
 public:
  explicit SlowTask(std::unique_ptr<Task> task) : task_(std::move(task)) {}
  std::unique_ptr<Examples> examples(int64_t step, int64_t first, int64_t rows) const override {
    return task_->examples(step, first, rows);
  }
  Tensor loss(const Examples& examples, const Pass& pass) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return task_->loss(examples, pass);
  }
  Validation validate(Communicator& ranks) const override { return task_->validate(ranks); }
  void check_snapshot(const std::string& folder) const override { task_->check_snapshot(folder); }
  std::function<void(const std::string&)> model_texts() const override { return task_->model_texts(); }

 private:
  std::unique_ptr<Task> task_;
};

struct SlowConfig : GptConfig {};
std::string heading_of(const SlowConfig& c) { return heading_of(static_cast<const GptConfig&>(c)); }
Plan plan_of(const SlowConfig& c) { return plan_of(static_cast<const GptConfig&>(c)); }
Throughput throughput_of(const SlowConfig& c) { return throughput_of(static_cast<const GptConfig&>(c)); }
double epoch_of(const SlowConfig& c) { return epoch_of(static_cast<const GptConfig&>(c)); }
std::unique_ptr<Task> task_of(const SlowConfig& c, Parameters& parameters) {
  return std::make_unique<SlowTask>(task_of(static_cast<const GptConfig&>(c), parameters));
}

TEST(Straggler, IsNamedWithHowMuchSlowerItIs) {
  const test::TinyRun tiny;
  SlowConfig config{tiny.config};
  config.log.every = 5;
  make_directory(config.run);
  set_quiet(true);
  copy_log_to(config.run + "/log.txt");
  test::on_ranks(2, [&](Communicator& ranks) {
    Profile profile({}, config.run, ranks);
    if (ranks.first()) {
      hinoki::Run run(static_cast<const GptConfig&>(config), ranks);
      TrainLoop(run, profile).to_the_end();
    } else {
      hinoki::Run run(config, ranks);
      TrainLoop(run, profile).to_the_end();
    }
  });
  copy_log_to("");
  set_quiet(false);
  const std::string log = read_file(config.run + "/log.txt", 1 << 20);
  EXPECT_NE(log.find("step 5 | the others wait for rank 1: it takes "), log.npos) << log;
  EXPECT_NE(log.find("goodput "), log.npos) << log;
  std::istringstream lines(read_file(config.run + "/metrics.jsonl", 1 << 20));
  int told = 0, goodputs = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json record = parse_json(line, "metrics.jsonl");
    if (record.contains("speed/slowest_over_median")) {
      ++told;
      EXPECT_GT(record["speed/slowest_over_median"], 0.1) << line;
    }
    if (record.contains("speed/goodput")) {
      ++goodputs;
      EXPECT_GT(record["speed/goodput"], 0) << line;
      EXPECT_LE(record["speed/goodput"], 1) << line;
    }
  }
  EXPECT_EQ(told, 4);
  EXPECT_EQ(goodputs, 20);
}

}  // namespace
}  // namespace hinoki
