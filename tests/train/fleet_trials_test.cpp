// Ranks of `hinoki doctor` that act together, well and badly.
#include "train/fleet_trials.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/base/file.h"
#include "tests/support/ranks.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::fleet_trials_test {
namespace {

const Finding& named(const std::vector<Finding>& all, const std::string& name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Finding& f) { return f.name == name; });
  require(found != all.end(), "no finding about ", name);
  return *found;
}

TEST(FleetTrials, RanksOfOneMachineAreFit) {
  TemporaryFolder folder;
  test::on_ranks(3, [&](Communicator& ranks) {
    const std::vector<Finding> found = try_together(ranks, folder.path().string());
    EXPECT_EQ(found.size(), 5u);
    for (const char* name : {"clocks", "shared folder", "locks"}) EXPECT_TRUE(named(found, name).good) << name;
    EXPECT_NE(named(found, "all-reduce").value.find("64 MiB in "), std::string::npos);
  });
  EXPECT_TRUE(list_directory(folder.path().string()).empty()) << "what the trials wrote is removed";
}

TEST(FleetTrials, AFolderThatIsNotSharedIsNoticed) {
  TemporaryFolder folder;
  for (const char* name : {"a", "b"}) std::filesystem::create_directory(folder / name);
  test::on_ranks(3, [&](Communicator& ranks) {
    const std::string mine = (folder / (ranks.rank() == 1 ? "b" : "a")).string();
    const Finding found = named(try_together(ranks, mine), "shared folder");
    EXPECT_FALSE(found.good);
    EXPECT_NE(found.value.find("rank 0 does not see what 1 wrote"), std::string::npos) << found.value;
  });
  for (const char* name : {"a", "b"}) EXPECT_TRUE(list_directory((folder / name).string()).empty());
}

TEST(FleetTrials, AFolderThatOneCannotWriteIsNoticed) {
  TemporaryFolder folder;
  test::on_ranks(2, [&](Communicator& ranks) {
    const std::string mine = ranks.rank() == 1 ? "/proc" : folder.path().string();
    const Finding found = named(try_together(ranks, mine), "shared folder");
    EXPECT_FALSE(found.good);
    EXPECT_NE(found.value.find("does not see what 1 wrote"), std::string::npos) << found.value;
  });
}

// The middle of the rounds, so that one late message does not matter.
TEST(FleetTrials, ClocksOfOneMachineAgree) {
  test::on_ranks(4, [](Communicator& ranks) {
    const std::vector<double> offsets = clock_offsets(ranks);
    EXPECT_EQ(offsets[0], 0);
    for (const double offset : offsets) EXPECT_LT(std::abs(offset), 1.0) << "as judge_clocks has it";
  });
}

TEST(FleetTrials, SumsOfAnyLengthAreRight) {
  for (const int n : {1, 2, 3, 5})
    for (const int64_t count : {1, 7, 4099})
      test::on_ranks(n, [&](Communicator& ranks) { EXPECT_GT(time_all_reduce(ranks, count), 0); });
}

TEST(FleetTrials, JudgesByLimits) {
  EXPECT_TRUE(judge_clocks({0, 0.2, -0.9}).good);
  const Finding ahead = judge_clocks({0, -0.2, 3.5});
  EXPECT_FALSE(ahead.good);
  EXPECT_EQ(ahead.value, "rank 2 is 3500 ms ahead of rank 0");
  EXPECT_EQ(judge_clocks({0, -7, 3.5}).value, "rank 1 is 7000 ms behind rank 0");
  EXPECT_TRUE(judge_all_reduce(0.6, 64 << 20).good) << "a network of 1 Gbit/s does";
  EXPECT_FALSE(judge_all_reduce(6, 64 << 20).good) << "100 Mbit/s do not";
  EXPECT_TRUE(judge_round_trip(1e-4).good);
  EXPECT_FALSE(judge_round_trip(0.05).good);
}

}  // namespace
}  // namespace hinoki::fleet_trials_test
