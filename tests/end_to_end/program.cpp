#include "tests/end_to_end/program.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

#include "tests/end_to_end/machine_cache.h"

namespace hinoki::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(120);  // no case needs a tenth of it, even under sanitizers
constexpr uid_t kNobody = 65534;

// What execve wants, made before the fork: after it, a process that had threads may not allocate.
class Strings {
 public:
  explicit Strings(std::vector<std::string> all) : all_(std::move(all)) {
    for (std::string& s : all_) pointers_.push_back(s.data());
    pointers_.push_back(nullptr);
  }
  char** data() { return pointers_.data(); }

 private:
  std::vector<std::string> all_;
  std::vector<char*> pointers_;
};

Strings environment_of(const Surroundings& around) {
  std::vector<std::string> all;
  const auto replaced = [&](const std::string& entry) {
    return around.environment.contains(entry.substr(0, entry.find('=')));
  };
  for (char** e = environ; *e; ++e)
    if (!replaced(*e) && std::strncmp(*e, "XDG_CACHE_HOME=", 15) != 0) all.emplace_back(*e);
  for (const auto& [name, value] : around.environment) all.push_back(name + "=" + value);
  all.push_back("XDG_CACHE_HOME=" + machine_cache());
  return Strings(std::move(all));
}

// mpirun hides the ranks' exit codes, and ends all ranks when one ends, but for --enable-recovery.
std::vector<std::string> command_line(const std::vector<std::string>& arguments, const Surroundings& around) {
  std::vector<std::string> all;
  const auto add = [&](const std::vector<std::string>& more) { all.insert(all.end(), more.begin(), more.end()); };
  const auto start = [&](int ranks) { add({"-np", std::to_string(ranks), HINOKI_PROGRAM}), add(arguments); };
  if (around.ranks == 0) {
    add({HINOKI_PROGRAM}), add(arguments);
  } else {
    add({"mpirun", "--allow-run-as-root", "--oversubscribe", "--enable-recovery", "--bind-to", "none"});
    start(around.ranks - !around.last_rank.empty());
    if (!around.last_rank.empty()) add({":"}), start(1), add(around.last_rank);
  }
  return all;
}

[[noreturn]] void become_program(int program, const Surroundings& around, char** arguments, char** environment) {
  if (around.largest_file > 0) {
    const rlimit limit{rlim_t(around.largest_file), rlim_t(around.largest_file)};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || std::signal(SIGXFSZ, SIG_IGN) == SIG_ERR) _exit(126);
  }
  if (around.unprivileged && geteuid() == 0 &&
      (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0))
    _exit(126);
  fexecve(program, arguments, environment);  // by its open file: its folder may be closed to nobody
  _exit(127);
}

}  // namespace

const char* program_path() { return HINOKI_PROGRAM; }

Program::Program(const std::vector<std::string>& arguments, const Surroundings& around) {
  const char* const file = around.ranks > 0 ? "/usr/bin/mpirun" : HINOKI_PROGRAM;
  Strings argv(command_line(arguments, around)), environment = environment_of(around);
  const int program = open(file, O_RDONLY | O_CLOEXEC);
  // A pipe of packets: a read gives what one write gave.
  int in[2], out[2], err[2];
  if (program < 0 || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC | O_DIRECT) != 0 ||
      pipe2(err, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "cannot start " << file << ": " << std::strerror(errno);
    return;
  }
  pid_ = fork();
  if (pid_ == 0) {
    const int input = around.asked ? in[0] : open("/dev/null", O_RDONLY);
    if (dup2(input, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0) _exit(126);
    become_program(program, around, argv.data(), environment.data());
  }
  for (const int other_end : {program, in[0], out[1], err[1]}) close(other_end);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
}

Program::~Program() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  finish();
}

bool Program::pump(const std::function<bool()>& enough, Clock::time_point deadline) {
  char buffer[1 << 16];
  while (!enough()) {
    if (out_ < 0 && err_ < 0) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd both[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
    if (poll(both, 2, int(left)) <= 0) continue;
    for (const auto& [ready, file] : {std::pair{both[0].revents, &out_}, std::pair{both[1].revents, &err_}}) {
      if (*file < 0 || ready == 0) continue;
      const ssize_t n = read(*file, buffer, sizeof buffer);
      if (n <= 0) {
        close(std::exchange(*file, -1));
        continue;
      }
      const std::string text(buffer, size_t(n));
      if (file == &out_) outcome_.writes.push_back(text);
      (file == &out_ ? outcome_.out : outcome_.err) += text;
    }
  }
  return true;
}

bool Program::wait_for(const std::string& part, const std::string& heard) {
  const auto there = [&] { return heard.find(part) != std::string::npos; };
  if (!pump(there, Clock::now() + kPatience)) ADD_FAILURE() << "\"" << part << "\" did not come: " << heard;
  return there();
}

bool Program::wait_for(const std::string& part) { return wait_for(part, outcome_.err); }
bool Program::wait_to_read(const std::string& part) { return wait_for(part, outcome_.out); }

// A few lines: a pipe takes them at once. A program that has ended takes nothing.
void Program::tell(const std::string& text) {
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  if (write(in_, text.data(), text.size()) != ssize_t(text.size()))
    ADD_FAILURE() << "the program does not listen: " << std::strerror(errno);
  std::signal(SIGPIPE, before);
}

void Program::stop_telling() {
  if (in_ >= 0) close(std::exchange(in_, -1));
}

void Program::run_for(std::chrono::milliseconds time) {
  pump([] { return false; }, Clock::now() + time);
}

void Program::send(int signal) {
  if (pid_ > 0) kill(pid_, signal);
}

void Program::stop_listening() {
  for (int* const file : {&out_, &err_})
    if (*file >= 0) close(std::exchange(*file, -1));
}

Outcome Program::finish() {
  if (pid_ <= 0) return outcome_;
  stop_telling();
  if (!pump([] { return false; }, Clock::now() + kPatience)) {
    ADD_FAILURE() << "the program does not end";
    kill(pid_, SIGKILL);
  }
  stop_listening();
  int status = 0;
  rusage used{};
  while (wait4(pid_, &status, 0, &used) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  outcome_.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  outcome_.peak_memory = int64_t(used.ru_maxrss) << 10;
  return outcome_;
}

Outcome run_program(const std::vector<std::string>& arguments, const Surroundings& around) {
  return Program(arguments, around).finish();
}

Outcome expect_outcome(int code, const std::vector<std::string>& parts, const std::vector<std::string>& arguments,
                       const Surroundings& around) {
  const Outcome outcome = run_program(arguments, around);
  std::string command = "hinoki";
  for (const std::string& a : arguments) command += " " + a;
  EXPECT_EQ(outcome.code, code) << command << "\n" << outcome.out << outcome.err;
  for (const std::string& part : parts)
    EXPECT_NE((outcome.out + outcome.err).find(part), std::string::npos)
        << command << "\nlacks \"" << part << "\" in:\n"
        << outcome.out << outcome.err;
  for (const char* crash : {"Sanitizer", "runtime error:", "terminate called", "Assertion"})
    EXPECT_EQ(outcome.err.find(crash), std::string::npos) << command << "\n" << outcome.err;
  return outcome;
}

}  // namespace hinoki::test
