// The chain of iterations: stopped anywhere, the same command ends with the same files.
#include "train/hubert_chain.h"

#include "core/base/log.h"
#include "tests/support/expect_error.h"
#include "tests/support/tiny_hubert_run.h"
#include "train/config_file.h"
#include "train/publication.h"
#include "train/run.h"

namespace hinoki::hubert_chain_test {
namespace {

struct Killed {};

class ChainTest : public testing::Test {
 protected:
  ChainTest() {
    set_quiet(true);
    HubertConfig config = tiny_.config;
    config.train.steps = 4;
    config.log.snapshot_every = 2;
    config.recipe = "hubert";
    tiny_.folder.write("configs/one.toml", print_config(config));
  }
  ~ChainTest() override { set_quiet(false); }

  HubertChain chain(const std::string& run, const std::string& more = "") const {
    const std::string text =
        "recipe = \"hubert_chain\"\ncorpus = \"" + tiny_.config.data.corpus + "\"\nrun = \"" +
        (tiny_.folder / run).string() +
        "\"\n[[stages]]\nconfig = \"one.toml\"\nclusters = 9\nbatches = 20\n"
        "[[stages]]\nconfig = \"one.toml\"\nlayer = 2\nclusters = 7\nbatches = 20\noverrides = [\"train.seed=5\"]\n" +
        more;
    return *read_hubert_chain(tiny_.folder.write("configs/" + run + ".toml", text).string(), {});
  }

  // Trains a stage; a kill comes before the step that `steps` counts down to.
  static void train(Recipe& recipe, int64_t& steps) {
    Solo alone;
    hinoki::Run run(recipe, alone);
    const RunConfig& config = recipe.config();
    if (const auto usable = find_usable(config.run + "/snapshots"); usable.found) run.resume(usable.found->path);
    while (run.steps_done() < config.train.steps) {
      if (steps-- == 0) throw Killed();
      run.step();
      if (run.steps_done() % config.log.snapshot_every == 0) run.save();
    }
  }

  // From the chain's folder: what is the same for the same settings.
  std::string result(const HubertChain& c) const {
    std::string all;
    for (size_t n = 0; n < 2; ++n) {
      const StagePaths paths(c, n);
      all += bytes_of_file(paths.codebook);
      for (const auto& [name, bytes] : bytes_of_files(paths.labels)) all += name + bytes;
      all += bytes_of_file(find_usable(paths.train + "/snapshots").found->path + "/model.safetensors");
    }
    return all;
  }

  const test::TinyHubertRun tiny_;
};

TEST_F(ChainTest, KilledAnywhereEndsWithTheSameFiles) {
  Solo alone;
  const HubertChain whole = chain("whole");
  int64_t endless = INT64_MAX;
  run_hubert_chain(whole, alone, [&](Recipe& r) { train(r, endless); }, [] {});
  const std::string expected = result(whole);
  const LabelOrigin second = open_label_shard(StagePaths(whole, 1).labels + "/train-00000.h5").info.origin;
  EXPECT_EQ(second.clusters, 7);
  EXPECT_EQ(second.rate, 50);
  EXPECT_TRUE(second.features.starts_with("hubert layer 2 of ")) << second.features;

  // At every step of both trainings and at every moment that asks whether to stop, again and again in one folder.
  const HubertChain often = chain("often");
  int64_t kills = 0;
  for (int64_t until = 0;; ++until) {
    int64_t moments = until + 1, steps = until % 4 + 1;
    const auto check_stop = [&] {
      if (moments-- == 0) throw Killed();
    };
    try {
      run_hubert_chain(often, alone, [&](Recipe& r) { train(r, steps); }, check_stop);
      break;
    } catch (const Killed&) {
      ++kills;
    }
    ASSERT_LT(until, 100);
  }
  EXPECT_GT(kills, 5);
  EXPECT_EQ(result(often) == expected, true) << kills << " kills";

  // Finished, it does nothing.
  int64_t none = 0;
  EXPECT_NO_THROW(run_hubert_chain(often, alone, [&](Recipe& r) { train(r, none); }, [] { throw Killed(); }));
}

TEST_F(ChainTest, RefusesAFolderOfOtherSettings) {
  Solo alone;
  const HubertChain c = chain("run");
  int64_t one = 1;
  EXPECT_THROW(run_hubert_chain(c, alone, [&](Recipe& r) { train(r, one); }, [] {}), Killed);
  HubertChain other = c;
  other.stages[0].clusters = 5;
  EXPECT_ERROR(run_hubert_chain(other, alone, [&](Recipe& r) { train(r, one); }, [] {}), Exit::usage,
               "codebook.h5 is of 9 clusters of mfcc");
}

TEST_F(ChainTest, IsCheckedBeforeAnythingIsMade) {
  Solo alone;
  HubertChain c = chain("run");
  c.stages[1].layer = 3;
  EXPECT_ERROR(run_hubert_chain(c, alone, [](Recipe&) { FAIL(); }, [] {}), Exit::usage,
               "layer 3 is asked for, the model before has 2");
  c.stages[1].config = "none.toml";
  EXPECT_ERROR(run_hubert_chain(c, alone, [](Recipe&) { FAIL(); }, [] {}), Exit::usage, "none.toml");
  EXPECT_FALSE(std::filesystem::exists(c.run));
  EXPECT_ERROR(chain("deep", "[[stages]]\nconfig = \"one.toml\"\nlyer = 2\n"), Exit::usage, "lyer");
  EXPECT_FALSE(read_hubert_chain((tiny_.folder / "configs/one.toml").string(), {}).has_value());
  EXPECT_ERROR(read_recipe(read_config((tiny_.folder / "configs/run.toml").string())), Exit::usage,
               "a chain of runs is for `hinoki train` alone");
}

}  // namespace
}  // namespace hinoki::hubert_chain_test
