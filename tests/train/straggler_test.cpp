// A rank that is slower than the others is named, with how much slower it is.
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "tests/support/altered_task.h"
#include "tests/support/ranks.h"
#include "tests/support/tiny_run.h"
#include "train/train_loop.h"

namespace hinoki::straggler_test {
namespace {

TEST(Straggler, IsNamedWithHowMuchSlowerItIs) {
  const test::TinyRun tiny;
  GptConfig config = tiny.config;
  config.log.every = 5;
  make_directory(config.run);
  set_quiet(true);
  copy_log_to(config.run + "/log.txt");
  test::on_ranks(2, [&](Communicator& ranks) {
    Profile profile({}, config.run, ranks);
    const test::AlteredConfig mine(config, [&](const Tensor& loss, const Pass&, const Parameters&) {
      if (!ranks.first()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return loss;
    });
    hinoki::Run run(mine, ranks);
    TrainLoop(run, profile).to_the_end();
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
}  // namespace hinoki::straggler_test
