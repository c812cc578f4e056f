#include "train/program_scorer.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <memory>
#include <thread>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::program_scorer_test {
namespace {

constexpr double kPatience = 120;  // seconds; no case needs a tenth of it, even under sanitizers

std::vector<Answered> answers(int count, const std::string& answer = "はい") {
  return std::vector<Answered>(size_t(count), {.prompt = "問い", .answer = answer, .ended = true});
}

class ProgramScorerTest : public testing::Test {
 protected:
  std::string python(const std::string& text) const {
    return "python3 '" + folder_.write("score.py", "import json, sys\n" + text).string() + "'";
  }
  // Two batches of three, so that faults between batches show. `command` stands in the message.
  void expect_fault(const std::string& command, const std::vector<std::string>& parts, double seconds = kPatience) {
    SCOPED_TRACE(command);
    ProgramScorer scorer(command, seconds);
    expect_error(Exit::data, parts, [&] { scorer.score(answers(3)), scorer.score(answers(3)); });
    expect_error(Exit::data, {"was ended after a fault"}, [&] { scorer.score(answers(1)); });
  }

  TemporaryFolder folder_;
};

constexpr const char* kLengths =
    "for line in sys.stdin:\n"
    "    a = json.loads(line)\n"
    "    print(len(a['answer']) + 100 * len(a['prompt']) + (0.5 if a['ended'] else 0), flush=True)\n";

TEST_F(ProgramScorerTest, GivesTheNumberOfEachAnswer) {
  ProgramScorer scorer(python(kLengths), kPatience);
  const std::vector<Answered> some = {{.prompt = "問い", .answer = "はい\n\"そう\"\\", .ended = true},
                                      {.prompt = "", .answer = "", .ended = false},
                                      {.prompt = "a", .answer = "\xe3\x81\xff\u2028", .ended = false}};
  EXPECT_EQ(scorer.score(some), (std::vector<double>{208.5, 0, 103}));
  EXPECT_EQ(scorer.score({}), std::vector<double>{});
  EXPECT_EQ(scorer.score(answers(2)), (std::vector<double>{202.5, 202.5}));
}

TEST_F(ProgramScorerTest, StaysTheSameProgram) {
  ProgramScorer scorer("n=0; while read -r line; do n=$((n + 1)); echo \" $n.25e0\t\"; done", kPatience);
  EXPECT_EQ(scorer.score(answers(2)), (std::vector<double>{1.25, 2.25}));
  EXPECT_EQ(scorer.score(answers(3)), (std::vector<double>{3.25, 4.25, 5.25}));
}

// Both pipes hold 64 KiB: whoever writes everything before reading anything waits forever, on either side.
TEST_F(ProgramScorerTest, WritesAndReadsAtOnce) {
  constexpr int kMany = 5000;
  const std::vector<Answered> many = answers(kMany, std::string(400, 'x'));
  ProgramScorer as_it_reads(python("for line in sys.stdin:\n    print('%0400d' % len(line))\n    sys.stdout.flush()\n"),
                            kPatience);
  ProgramScorer all_at_once(python("while True:\n"
                                   "    lines = [sys.stdin.readline() for _ in range(" +
                                   std::to_string(kMany) +
                                   ")]\n"
                                   "    if not lines[0]: break\n"
                                   "    print('\\n'.join('%0400d' % len(line) for line in lines), flush=True)\n"),
                            kPatience);
  for (ProgramScorer* const scorer : {&as_it_reads, &all_at_once})
    for (int batch = 0; batch < 2; ++batch) {
      const std::vector<double> scores = scorer->score(many);
      ASSERT_EQ(scores.size(), size_t(kMany));
      for (const double s : scores) ASSERT_EQ(s, scores[0]);
      EXPECT_GT(scores[0], 400);
    }
}

TEST_F(ProgramScorerTest, SaysHowAProgramEnded) {
  expect_fault("exit 3", {"the program \"exit 3\"", "at answer 1 of 3", "it ended with exit code 3", "must print"});
  expect_fault("read -r line; echo 1; read -r line; echo 2; kill -9 $$",
               {"at answer 3 of 3", "it was ended by signal KILL"});
  expect_fault("for i in 1 2 3; do read -r line; echo 1; done", {"at answer 1 of 3", "it ended with exit code 0"});
  expect_fault("./no-such-program-anywhere", {"it ended with exit code 127 (the shell found no such program)"});
  expect_fault("read -r line; printf 0.5", {"at answer 1 of 3", "exit code 0 after \"0.5\" without the end of a line"});
}

TEST_F(ProgramScorerTest, TakesNothingButFiniteNumbers) {
  for (const char* bad : {"nan", "-nan", "inf", "-Infinity", "1e999", "0,5", "1 2", "score: 1", "0x10", ""})
    expect_fault("read -r line; echo 0; read -r line; echo '" + std::string(bad) + "'; cat >/dev/null",
                 {"at answer 2 of 3", "it printed \"" + std::string(bad) + "\", which is no finite number"});
  expect_fault("printf '\\033[1m\\n'; cat >/dev/null", {"printed \"\\x1b[1m\""});
}

TEST_F(ProgramScorerTest, BoundsALine) {
  expect_fault(python("sys.stdin.readline()\nprint('9' * 1001, flush=True)\nsys.stdin.read()\n"),
               {"at answer 1 of 3", "9999...\", a line of"});
  expect_fault(python("sys.stdin.readline()\nwhile True: sys.stdout.write('9' * 500)\n"),
               {"at answer 1 of 3", "9999...\", a line of over 1000 bytes"});
}

TEST_F(ProgramScorerTest, TakesNoMoreLinesThanItAskedFor) {
  const char* const more = "more than it was asked for";
  expect_fault(
      python("for i in range(3): sys.stdin.readline()\nprint('1\\n2\\n3\\n4', flush=True)\nsys.stdin.read()\n"),
      {"after the last of 3 answers", "\"4\"", more});
  expect_fault(
      python("for i in range(3): sys.stdin.readline()\nprint('1\\n2\\n3\\n4', end='', flush=True)\nsys.stdin.read()\n"),
      {"after the last of 3 answers", "\"4\"", more});
}

// Between the batches, when nobody listens.
TEST_F(ProgramScorerTest, TakesNoLineBeforeItAsksAgain) {
  const std::string said = folder_ / "said";
  ProgramScorer scorer("for i in 1 2 3; do read -r line; echo 1; done; echo 7; : >'" + said + "'; cat >/dev/null",
                       kPatience);
  // The 7 may come with the last answer, too.
  expect_error(Exit::data, {"\"7\"", "more than it was asked for"}, [&] {
    EXPECT_EQ(scorer.score(answers(3)).size(), 3u);
    for (int i = 0; i < 10000 && !std::filesystem::exists(said); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    scorer.score(answers(3));
  });
}

TEST_F(ProgramScorerTest, SaysWhenAProgramClosesItsOutput) {
  expect_fault("read -r line; echo 1; exec >&-; cat >/dev/null", {"at answer 2 of 3", "it closed its output"});
}

TEST_F(ProgramScorerTest, DoesNotWaitForever) {
  expect_fault("cat >/dev/null", {"at answer 1 of 3", "took more than 0.2 seconds for the batch", "flush"}, 0.2);
  expect_fault("read -r line; echo 1; printf 0.; cat >/dev/null", {"at answer 2 of 3", "of the line there is \"0.\""},
               2);
  // Its own output stays open in a child that has left.
  expect_fault("sleep 600 & exit 4", {"at answer 1 of 3", "ended with exit code 4"}, 2);
}

// More than the pipe holds, for a program that stops reading.
TEST_F(ProgramScorerTest, OutlivesAPipeThatNobodyReads) {
  const auto before = std::signal(SIGPIPE, SIG_DFL);
  const std::vector<Answered> many = answers(2000, std::string(400, 'x'));
  expect_error(Exit::data, {"at answer 2 of 2000", "ended with exit code 5"},
               [&] { ProgramScorer("read -r line; echo 1; exit 5", kPatience).score(many); });
  expect_error(Exit::data, {"at answer 2 of 2000", "no longer reads, and took more than 2 seconds"},
               [&] { ProgramScorer("read -r line; echo 1; exec <&-; sleep 600", 2).score(many); });
  sigset_t set;
  sigpending(&set);
  EXPECT_FALSE(sigismember(&set, SIGPIPE));
  pthread_sigmask(SIG_BLOCK, nullptr, &set);
  EXPECT_FALSE(sigismember(&set, SIGPIPE));
  std::signal(SIGPIPE, before);
}

// Its number says so: even of a zombie, kill(pid, 0) finds something.
TEST_F(ProgramScorerTest, LeavesNoZombie) {
  for (const char* ending : {"", "trap '' TERM; "}) {
    pid_t pid = 0;
    {
      ProgramScorer scorer(say(ending, "while read -r line; do echo $$; done; while :; do sleep 1; done"), kPatience);
      pid = pid_t(scorer.score(answers(1)).at(0));
      EXPECT_EQ(kill(pid, 0), 0);
    }
    EXPECT_EQ(kill(pid, 0), -1);
    EXPECT_EQ(errno, ESRCH);
  }
}

// What the program has started: gone, or a zombie that its new parent has not yet met.
TEST_F(ProgramScorerTest, EndsTheWholeGroup) {
  pid_t pid = 0;
  {
    ProgramScorer scorer("sh -c 'trap \"\" TERM; while :; do sleep 1; done' & read -r line; echo $!; cat >/dev/null",
                         kPatience);
    pid = pid_t(scorer.score(answers(1)).at(0));
    EXPECT_EQ(kill(pid, 0), 0);
  }
  const auto lives = [&] {
    std::ifstream in(say("/proc/", pid, "/stat"));
    std::string stat;
    return std::getline(in, stat) && stat.substr(stat.rfind(')') + 2, 1) != "Z";
  };
  for (int i = 0; i < 1000 && lives(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(lives());
}

// But for two signals of the C library itself, 32 and 33.
TEST_F(ProgramScorerTest, IgnoresAndBlocksNoSignalForIt) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  sigset_t usr1, mask;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, &mask);
  ProgramScorer scorer(
      "for which in SigIgn SigBlk; do read -r line; set=$(sed -n \"s/^$which:[[:space:]]*//p\" /proc/self/status); "
      "echo $((0x$set & 0x7fffffff)); done; cat >/dev/null",
      kPatience);
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  EXPECT_EQ(scorer.score(answers(2)), (std::vector<double>{0, 0}));
  std::signal(SIGPIPE, before);
}

TEST_F(ProgramScorerTest, LetsItsStderrThrough) {
  testing::internal::CaptureStderr();
  ProgramScorer("read -r line; echo \"judging $line\" >&2; echo 1; cat >/dev/null", kPatience).score(answers(1));
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "judging {\"prompt\":\"問い\",\"answer\":\"はい\",\"ended\":true}\n");
}

// The pipes take the lowest numbers that are free.
TEST_F(ProgramScorerTest, WorksWhereWeHaveNoStandardFiles) {
  const int in = fcntl(0, F_DUPFD_CLOEXEC, 10), out = fcntl(1, F_DUPFD_CLOEXEC, 10);
  close(0), close(1);
  std::vector<double> scores;
  {
    ProgramScorer scorer("while read -r line; do echo 2; done", kPatience);
    scores = scorer.score(answers(2));
  }
  EXPECT_EQ(fcntl(0, F_GETFD), -1);
  dup2(in, 0), dup2(out, 1);
  close(in), close(out);
  EXPECT_EQ(scores, (std::vector<double>{2, 2}));
}

TEST_F(ProgramScorerTest, NeedsSomeTime) {
  for (const double seconds : {0.0, -1.0, double(NAN)})
    EXPECT_ERROR(ProgramScorer("cat >/dev/null", seconds), Exit::usage,
                 "seconds for a batch of answers; it needs some");
  EXPECT_EQ(ProgramScorer("read -r line; echo 1; cat >/dev/null", INFINITY).score(answers(1)), std::vector<double>{1});
}

}  // namespace
}  // namespace hinoki::program_scorer_test
