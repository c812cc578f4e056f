// What `hinoki doctor` makes of ranks that are alike, and of each way in which they can differ.
#include "train/fleet_facts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/ranks.h"

namespace hinoki::fleet_facts_test {
namespace {

// Four ranks on two hosts of four cores.
std::vector<RankFacts> sound() {
  std::vector<RankFacts> all;
  for (int r = 0; r < 4; ++r)
    all.push_back({.host = r < 2 ? "alpha" : "beta",
                   .program = "1234",
                   .libraries = {{"libmpi.so", "libmpi.so.40 ab"}},
                   .kernels = "avx2",
                   .cores = {0, 1, 2, 3},
                   .machine_cores = 4,
                   .threads = 2,
                   .gpu = say("GPU ", r % 2)});
  return all;
}

std::vector<Finding> problems(const std::vector<RankFacts>& all) {
  std::vector<Finding> found = compare(all);
  std::erase_if(found, [](const Finding& f) { return f.good; });
  return found;
}

// Exactly one problem, of that name, whose text has all the parts.
void expect_problem(const std::vector<RankFacts>& all, const std::string& name, const std::vector<std::string>& parts) {
  const std::vector<Finding> found = problems(all);
  ASSERT_EQ(found.size(), 1u) << name;
  EXPECT_EQ(found[0].name, name);
  EXPECT_FALSE(found[0].remedy.empty());
  for (const std::string& part : parts) EXPECT_NE(found[0].value.find(part), std::string::npos) << found[0].value;
}

TEST(FleetFacts, AlikeRanksAreFit) {
  EXPECT_TRUE(problems(sound()).empty());
  auto without_gpus = sound();
  for (RankFacts& f : without_gpus) f.gpu.clear();
  EXPECT_TRUE(problems(without_gpus).empty());
  auto bits_agree = sound();
  bits_agree[1].kernels = "avx512";
  EXPECT_TRUE(problems(bits_agree).empty());
}

TEST(FleetFacts, WhatDiffersIsNamed) {
  auto all = sound();
  all[2].program = "5678";
  expect_problem(all, "program", {"rank 2 (beta) 5678", "ranks 0, 1, 3 1234"});
  all = sound();
  all[1].libraries["libmpi.so"] = "libmpi.so.41 cd";
  expect_problem(all, "libraries", {"rank 1 (alpha) libmpi.so.41 cd", "ranks 0, 2, 3 libmpi.so.40 ab"});
  all = sound();
  all[3].libraries["libucx.so"] = "libucx.so.0 ef";
  expect_problem(all, "libraries", {"rank 3 (beta) libucx.so.0 ef", "ranks 0, 1, 2 without libucx.so"});
  all = sound();
  all[0].kernels = "portable";
  expect_problem(all, "kernels", {"rank 0 (alpha) portable", "ranks 1, 2, 3 avx2"});
}

TEST(FleetFacts, ThreadsNeedCores) {
  auto all = sound();
  all[2].threads = 3;
  expect_problem(all, "cores", {"beta: ranks 2, 3 with 5 threads on 4 of 4 cores"});
  all = sound();
  all[0].cores = all[1].cores = {3};  // both bound to the same one
  expect_problem(all, "cores", {"alpha: ranks 0, 1 with 4 threads on 1 of 4 cores"});
  all = sound();
  for (RankFacts& f : all) f.machine_cores = 64, f.cores.resize(64);
  for (size_t r : {2, 3}) all[r].cores = {int(r)}, all[r].threads = 1;  // as mpirun binds them
  for (int c = 0; c < 64; ++c) all[0].cores[size_t(c)] = all[1].cores[size_t(c)] = c;
  expect_problem(all, "cores", {"beta: ranks 2, 3 with 2 threads on 2 of 64 cores"});
}

TEST(FleetFacts, EveryRankHasAGpuOfItsOwn) {
  auto all = sound();
  all[1].gpu = all[0].gpu;
  expect_problem(all, "GPUs", {"alpha: ranks 0, 1 take GPU 0"});
  all = sound();
  all[3].gpu.clear();
  expect_problem(all, "GPUs", {"beta: 1 for ranks 2, 3"});
}

TEST(FleetFacts, EveryRankHearsOfAll) {
  const RankFacts here = facts_of_this_rank();
  EXPECT_EQ(here.host, host_name());
  EXPECT_EQ(here.program.size(), 32u);
  EXPECT_GE(here.machine_cores, int(here.cores.size()));
  ASSERT_TRUE(here.libraries.count("libc.so")) << "and what the program has loaded besides";
  EXPECT_EQ(here.libraries.at("libc.so").substr(0, 9), "libc.so.6");
  test::on_ranks(3, [&](Communicator& ranks) {
    RankFacts mine = here;
    mine.host = say("host", ranks.rank());
    mine.threads = ranks.rank();
    const std::vector<RankFacts> all = gather_facts(ranks, mine);
    ASSERT_EQ(all.size(), 3u);
    for (int r = 0; r < 3; ++r) {
      EXPECT_EQ(all[size_t(r)].host, say("host", r));
      EXPECT_EQ(all[size_t(r)].threads, r);
      EXPECT_EQ(all[size_t(r)].libraries, here.libraries);
      EXPECT_EQ(all[size_t(r)].cores, here.cores);
    }
    EXPECT_EQ(ranks_of_hosts(all).size(), 3u);
  });
}

}  // namespace
}  // namespace hinoki::fleet_facts_test
