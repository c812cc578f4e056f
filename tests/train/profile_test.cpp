// The timeline of ranks that train: it is whole, its events nest, and it shows gradients travelling during the backward
// pass.
#include "train/profile.h"

#include <set>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/philox.h"
#include "tests/support/expect_error.h"
#include "tests/support/held_communicator.h"
#include "tests/support/ranks.h"
#include "tests/support/timeline.h"
#include "tests/support/tiny_run.h"
#include "train/clock_offset.h"
#include "train/train_loop.h"

namespace hinoki::profile_test {
namespace {

using test::TimelineEvent;

TEST(Profile, StepsAreChecked) {
  EXPECT_EQ(parse_profile("", 10).first, 0);
  const StepRange range = parse_profile("3:10", 10);
  EXPECT_TRUE(range.first == 3 && range.last == 10);
  EXPECT_EQ(parse_profile("4:4", 10).last, 4);
  for (const char* bad : {"3", ":", "3:", ":3", "a:b", "3:4x", " 3:4", "3:4:5", "+3:4", "3:99999999999999999999"})
    EXPECT_ERROR(parse_profile(bad, 10), Exit::usage, "give START:STOP");
  for (const char* bad : {"0:3", "-2:3", "5:4"})
    EXPECT_ERROR(parse_profile(bad, 10), Exit::usage, "steps count from 1, and STOP is not before START");
  EXPECT_ERROR(parse_profile("9:11", 10), Exit::usage, "the run ends after step 10");
}

// Two clocks in a world whose true time is known: messages take from 1 to 1000 ns, and now and then a rank is held up.
TEST(Profile, ClockOffsetsAreWithinTheirErrors) {
  for (uint64_t world = 0; world < 200; ++world) {
    const int64_t skew = int64_t(philox({.seed = 1}, world)[0]) * 1000 - (int64_t(1) << 41);
    std::vector<BarrierVisit> first, other;
    int64_t time = 5'000'000;
    for (uint64_t i = 0; i < 16; ++i) {
      const Random4 r = philox({.seed = 2}, world * 16 + i), late = philox({.seed = 3}, world * 16 + i);
      const int64_t enter[] = {time + late[0] % 10'000, time + late[1] % 10'000};
      const int64_t leave[] = {std::max(enter[0], enter[1] + 1 + r[0] % 1000) + (late[2] % 4 ? 0 : late[2] % 5000),
                               std::max(enter[1], enter[0] + 1 + r[1] % 1000) + (late[3] % 4 ? 0 : late[3] % 5000)};
      first.push_back({enter[0], leave[0]});
      other.push_back({enter[1] + skew, leave[1] + skew});
      time = std::max(leave[0], leave[1]);
    }
    const ClockOffset found = clock_offset(other, first);
    EXPECT_LE(std::abs(found.ahead - skew), found.error) << "world " << world;
    EXPECT_LE(found.error, 5'500) << "no more than the messages and half of the delay of any one barrier";
    EXPECT_EQ(clock_offset(first, first).ahead, 0);
  }
}

TEST(Profile, ThreadsOfOneProcessHaveOneClock) {
  test::on_ranks(3, [](Communicator& ranks) {
    const ClockOffset offset = clock_offset(ranks);
    EXPECT_LE(std::abs(offset.ahead), offset.error);
  });
}

// A model of several chunks, buckets of one chunk each, so that the first ones are complete long before the backward
// pass ends; micro-batches that take milliseconds.
GptConfig wide(const test::TinyRun& tiny, int64_t zero) {
  GptConfig c = tiny.config;
  c.model.gpt_neox.hidden_size = 128;
  c.model.gpt_neox.intermediate_size = 512;
  c.model.gpt_neox.num_hidden_layers = 4;
  c.data.sequence = 64;
  c.train = {.steps = 8, .batch = 8, .micro_batches = 4, .seed = 11, .reduction_slots = 4, .zero = zero};
  c.train.bucket_mib = 0.25;
  c.log.evaluate_sequences = 2;
  c.log.snapshot_every = 3;
  c.log.sample_every = 3;
  return c;
}

// `slow`: exchanges whose names begin so take a millisecond longer.
void train(const GptConfig& config, StepRange steps, int ranks, const std::string& slow = "nothing") {
  set_quiet(true);
  make_directory(config.run);
  test::on_ranks(ranks, [&](Communicator& communicator) {
    test::HeldCommunicator held(communicator, [&](const std::string& what) {
      if (what.starts_with(slow)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    Profile profile(steps, config.run, held);
    Run run(config, held);
    TrainLoop(run, profile).to_the_end();
  });
  set_quiet(false);
}

std::string text_of(const GptConfig& config, const std::string& name) {
  return read_file(config.run + "/profile/" + name, 1 << 26);
}

TEST(Profile, ShowsGradientsTravellingDuringTheBackwardPass) {
  const test::TinyRun tiny;
  const GptConfig config = wide(tiny, 0);
  train(config, {2, 7}, 2);
  const auto all = test::read_timeline(text_of(config, "trace.json"));
  test::expect_nested(all);
  for (int64_t rank = 0; rank < 2; ++rank) {
    std::map<std::string, std::vector<TimelineEvent>> named;  // of this rank
    for (const TimelineEvent& e : all)
      if (e.rank == rank) named[e.thread + "/" + e.name].push_back(e);
    for (const char* name : {"wait for data", "wait for the reducer", "norms", "sums of the step", "update"})
      EXPECT_EQ(named[std::string("training/") + name].size(), 6) << name;
    for (const char* name : {"forward", "backward", "read the loss", "carry"})
      EXPECT_EQ(named[std::string("training/") + name].size(), name == std::string("carry") ? 6 : 12) << name;
    std::vector<int64_t> steps;
    for (const TimelineEvent& e : named["training/step"]) steps.push_back(e.args["step"]);
    EXPECT_EQ(steps, (std::vector<int64_t>{2, 3, 4, 5, 6, 7}));
    const size_t buckets = named["reducer/bucket"].size();
    EXPECT_GE(buckets, 6 * 5) << "several a step";
    for (const char* name : {"carry", "exchange", "sum", "gather"})
      EXPECT_EQ(named[std::string("reducer/") + name].size(), buckets) << name;
    EXPECT_FALSE(named["prefetch/make batches"].empty());
    EXPECT_EQ(named["training/evaluation"].size(), 0) << "only after the last step, which is not recorded";
    EXPECT_EQ(named["training/samples"].size(), rank == 0 ? 2 : 0);
    EXPECT_EQ(named["training/copy the snapshot"].size(), rank == 0 ? 2 : 0);
    EXPECT_GE(named["snapshot/write"].size(), rank == 0 ? 1 : 0);

    int64_t hidden = 0, buckets_hidden = 0;
    for (const TimelineEvent& exchange : named["reducer/exchange"])
      for (const TimelineEvent& backward : named["training/backward"]) {
        hidden += overlap(exchange, backward);
        buckets_hidden += overlap(exchange, backward) > 0;
      }
    EXPECT_GT(buckets_hidden, 0) << "of " << buckets;
    RecordProperty("buckets", int(buckets));
    RecordProperty("buckets_hidden", int(buckets_hidden));

    // The rank's own file tells the same.
    std::vector<std::string> mine, merged;
    for (const TimelineEvent& e : test::read_timeline(text_of(config, say("rank-", rank, ".json"))))
      mine.push_back(say(e.rank, e.thread, e.name, e.begin, e.end, e.args));
    for (const TimelineEvent& e : all)
      if (e.rank == rank) merged.push_back(say(e.rank, e.thread, e.name, e.begin, e.end, e.args));
    EXPECT_EQ(mine, merged);
  }
}

// With one clock for both, what ranks say to each other is seen: nobody leaves an exchange before the other is in it.
TEST(Profile, AlignsTheRanks) {
  const test::TinyRun tiny;
  const GptConfig config = wide(tiny, 1);
  train(config, {4, 6}, 2);
  std::map<int64_t, std::vector<TimelineEvent>> sums;
  std::set<std::string> names;
  for (const TimelineEvent& e : test::read_timeline(text_of(config, "trace.json"))) {
    if (e.name == "sums of the step") sums[e.rank].push_back(e);
    names.insert(e.thread + "/" + e.name);
  }
  ASSERT_EQ(sums[0].size(), 3);
  ASSERT_EQ(sums[1].size(), 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_GT(overlap(sums[0][i], sums[1][i]), 0);
  EXPECT_TRUE(names.contains("reducer/gather weights"));
  EXPECT_FALSE(names.contains("training/gather weights"));
}

TEST(Profile, ShowsWeightsTravellingDuringTheForwardPass) {
  const test::TinyRun tiny;
  const GptConfig config = wide(tiny, 1);
  train(config, {2, 7}, 2, "gathering weights");
  for (int64_t rank = 0; rank < 2; ++rank) {
    std::map<std::string, std::vector<TimelineEvent>> named;
    for (const TimelineEvent& e : test::read_timeline(text_of(config, say("rank-", rank, ".json"))))
      named[e.thread + "/" + e.name].push_back(e);
    int64_t hidden = 0;
    for (const TimelineEvent& gather : named["reducer/gather weights"])
      for (const TimelineEvent& forward : named["training/forward"]) hidden += overlap(gather, forward) > 0;
    EXPECT_GT(hidden, 0) << "of " << named["reducer/gather weights"].size();
    EXPECT_FALSE(named["training/wait for weights"].empty());
    RecordProperty("weights_hidden", int(hidden));
  }
}

TEST(Profile, FilesOfEarlierTimesAreRemoved) {
  const test::TinyRun tiny;
  GptConfig config = tiny.config;
  config.train.micro_batches = 4;
  config.train.reduction_slots = 4;
  train(config, {20, 20}, 4);
  EXPECT_EQ(list_directory(config.run + "/profile").size(), 5);
  train(config, {1, 1}, 1);
  EXPECT_EQ(list_directory(config.run + "/profile"), (std::vector<std::string>{"rank-0.json", "trace.json"}));
}

TEST(Profile, WithoutStepsNothingIsRecorded) {
  const test::TinyRun tiny;
  train(tiny.config, {}, 1);
  EXPECT_FALSE(is_directory(tiny.config.run + "/profile"));
}

}  // namespace
}  // namespace hinoki::profile_test
