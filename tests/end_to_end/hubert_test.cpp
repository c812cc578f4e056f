// The whole chain of HuBERT as a program that somebody kills: whenever that is, the same command ends with the same model.
#include <gtest/gtest.h>
#include <signal.h>

#include "core/base/log.h"
#include "tests/end_to_end/program.h"
#include "tests/support/tiny_hubert_run.h"
#include "train/config_file.h"

namespace hinoki::end_to_end_hubert_test {
namespace {

using namespace std::chrono_literals;

TEST(HubertChainCommand, KilledAtAnyMomentEndsWithTheSameModel) {
  set_quiet(true);
  const test::TinyHubertRun tiny;
  set_quiet(false);
  HubertConfig stage = tiny.config;
  stage.train.steps = 6;
  stage.log.snapshot_every = 2;
  tiny.folder.write("stage.toml", print_config(stage));
  const std::string chain =
      tiny.folder.write("chain.toml", "recipe = \"hubert_chain\"\ncorpus = \"" + stage.data.corpus +
                                          "\"\n[[stages]]\nconfig = \"stage.toml\"\nclusters = 9\nbatches = 20\n"
                                          "[[stages]]\nconfig = \"stage.toml\"\nlayer = 1\nclusters = 7\nbatches = 20\n")
          .string();
  const auto command = [&](const std::string& run) {
    return std::vector<std::string>{"train", chain, "run=" + (tiny.folder / run).string()};
  };
  const auto model = [&](const std::string& run) {
    return bytes_of_file(tiny.folder / (run + "/2/train/snapshots/step-00000006/model.safetensors"));
  };
  const auto began = std::chrono::steady_clock::now();
  const auto whole = test::expect_outcome(0, {}, command("whole"));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);

  // Each try may go on a little longer than the one before, so that all parts are hit and the last one is reached.
  int kills = 0;
  for (int i = 0;; ++i) {
    ASSERT_LT(i, 60);
    test::Program program(command("often"));
    program.run_for(took * (i + 1) / 20);
    program.send(SIGKILL);
    const int code = program.finish().code;
    if (code == 0) break;
    ASSERT_EQ(code, -SIGKILL);
    ++kills;
  }
  EXPECT_GE(kills, 3) << "of a run of " << took.count() << " ms";
  EXPECT_TRUE(model("often") == model("whole"));
  const auto again = test::expect_outcome(0, {"stage 1 of 2: is trained", "stage 2 of 2: is trained"}, command("often"));
  EXPECT_EQ(again.err.find("training"), again.err.npos);
}

}  // namespace
}  // namespace hinoki::end_to_end_hubert_test
