// Ranks as users start them: processes under mpirun. The same bits on 1, 2 and 4 of them, and a lost one is named.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/file.h"
#include "core/base/json.h"
#include "tests/end_to_end/tiny_program.h"

namespace hinoki::mpi_test {
namespace {

using namespace hinoki::test;

// MPI's libraries leave memory behind, which the leak checker would take for ours.
Surroundings ranks(int n) { return {.environment = {{"ASAN_OPTIONS", "detect_leaks=0"}}, .ranks = n}; }

int status_of(const std::string& run, int rank) {
  const std::string file = say(run, "/status/rank-", rank, ".json");
  return is_file(file) ? parse_json(read_file(file, 1 << 16), file)["exit"].get<int>() : -1;
}

const std::vector<std::string> kEight = {"train.batch=1", "train.micro_batches=8", "train.reduction_slots=8"};

std::vector<std::string> train(const std::string& config, std::vector<std::string> more) {
  std::vector<std::string> line{"train", config};
  line.insert(line.end(), kEight.begin(), kEight.end());
  line.insert(line.end(), more.begin(), more.end());
  return line;
}

TEST(Mpi, AnyNumberOfRanksGivesTheSameBits) {
  const TinyProgram p;
  ASSERT_EQ(run_program(train(p.config("alone"), {})).code, 0);
  const std::string expected = weights_of(p.newest_snapshot(p.path("alone")));
  const auto losses = losses_in(p.path("alone"));
  for (const int n : {1, 2, 4})
    for (const char* zero : {"train.zero=0", "train.zero=1"}) {
      const std::string name = say("ranks-", n, zero);
      run_program(train(p.config(name), {zero}), ranks(n));
      for (int r = 0; r < n; ++r) EXPECT_EQ(status_of(p.path(name), r), 0) << name << " rank " << r;
      EXPECT_EQ(losses_in(p.path(name)), losses) << name;
      EXPECT_TRUE(weights_of(p.newest_snapshot(p.path(name))) == expected) << name;
    }
}

// Started on 4 ranks, stopped by a signal to one of them, gone on with on 2: the undisturbed run.
TEST(Mpi, ASignalToOneSavesOnAllAndAnotherNumberGoesOn) {
  const TinyProgram p;
  const std::vector<std::string> steps = {"train.steps=60", "log.every=1"};
  ASSERT_EQ(run_program(train(p.config("alone"), steps)).code, 0);
  const std::string config = p.config("stopped");
  Program first(train(config, steps), ranks(4));
  ASSERT_TRUE(first.wait_for("/60 | loss"));
  ::kill(first.pid(), SIGUSR1);  // mpirun forwards it
  first.finish();
  for (int r = 0; r < 4; ++r) EXPECT_EQ(status_of(p.path("stopped"), r), 75) << r;
  run_program(train(config, steps), ranks(2));
  EXPECT_EQ(losses_in(p.path("stopped")), losses_in(p.path("alone")));
  EXPECT_TRUE(weights_of(p.newest_snapshot(p.path("stopped"))) == weights_of(p.newest_snapshot(p.path("alone"))));
}

// The processes of a run, from /proc: those whose command line names its config.
std::vector<pid_t> processes_of(const std::string& config) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    std::ifstream file(entry.path() / "cmdline", std::ios::binary);
    std::string line;
    std::getline(file, line);  // empty where the process has ended meanwhile, which a stream's buffer throws at
    if (line.starts_with(program_path()) && line.find(config) != line.npos) found.push_back(pid_t(std::stoi(name)));
  }
  return found;
}

// Seconds that ranks wait for each other. Four of a sanitized program need longer to begin on two busy cores.
#ifdef __SANITIZE_ADDRESS__
constexpr int kDeadline = 10;
#else
constexpr int kDeadline = 2;
#endif

void lose_one(int signal) {
  const TinyProgram p;
  const std::string config = p.config("lost");
  Program run(train(config, {"train.steps=1000000", "log.every=1", "log.snapshot_every=10",
                             say("train.deadline=", kDeadline)}),
              ranks(4));
  ASSERT_TRUE(run.wait_for("saved ")) << run.finish().err;
  const std::vector<pid_t> processes = processes_of(config);
  ASSERT_EQ(processes.size(), 4u);
  ::kill(processes[2], signal);
  const auto start = std::chrono::steady_clock::now();
  ASSERT_TRUE(run.wait_for("no answer from rank"));
  const size_t remain = signal == SIGSTOP ? 1 : 0;  // who is stopped stays
  while (processes_of(config).size() > remain && std::chrono::steady_clock::now() - start < std::chrono::seconds(30))
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  // The deadline and 2 s more; what else this machine does may take its share of another two.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(kDeadline + 4));
  for (const pid_t left : processes_of(config)) ::kill(left, SIGKILL);
  const Outcome outcome = run.finish();
  EXPECT_NE(outcome.err.find("step "), std::string::npos) << outcome.err;
  int lost = 0, silent = 0;
  for (int r = 0; r < 4; ++r) (status_of(p.path("lost"), r) == 6 ? lost : silent)++;
  EXPECT_EQ(lost, 3) << outcome.err;
  EXPECT_EQ(silent, 1) << "the lost one has said nothing";
  EXPECT_EQ(run_program({"snapshot", "verify", p.path("lost")}).code, 0);
}

TEST(Mpi, AKilledRankIsNamed) { lose_one(SIGKILL); }
TEST(Mpi, AStoppedRankIsNamed) { lose_one(SIGSTOP); }

// What one rank alone cannot open: all end, each with the file in its message, and nobody waits for a deadline (300 s).
TEST(Mpi, DataThatOneRankCannotOpenEndsAll) {
  const TinyProgram p;
  const std::string config = p.config("missing"), shards = p.path("elsewhere");
  Surroundings four = ranks(4);
  four.last_rank = {"data.corpora.0.path=" + shards};
  const Outcome outcome = run_program(train(config, {}), four);
  EXPECT_NE(outcome.err.find(shards), std::string::npos) << outcome.err;
  for (int r = 0; r < 4; ++r) {
    EXPECT_EQ(status_of(p.path("missing"), r), 3) << r << outcome.err;
    const std::string said = bytes_of_file(say(p.path("missing"), "/status/rank-", r, ".json"));
    EXPECT_EQ(said.find("rank 3: ") != said.npos, r < 3) << said;
    EXPECT_NE(said.find(shards), said.npos) << said;
  }
}

TEST(Mpi, AFailureOfOneIsTheCodeOfAll) {
  const TinyProgram p;
  const std::string config = p.config("refused");
  const Outcome outcome = run_program({"train", config, "train.reduction_slots=1"}, ranks(2));
  EXPECT_NE(outcome.err.find("2 ranks cannot share train.reduction_slots = 1"), std::string::npos) << outcome.err;
  for (int r = 0; r < 2; ++r) EXPECT_EQ(status_of(p.path("refused"), r), 2) << r;
}

}  // namespace
}  // namespace hinoki::mpi_test
