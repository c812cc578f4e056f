#include "core/base/child_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "core/base/check.h"
#include "core/base/clock.h"

namespace hinoki {
namespace {

constexpr double kPatience = 2;  // seconds, after SIGTERM

// Descriptors of ours stay above the three that every program has, so that none of those is in the way of another: a
// run whose own stdin is closed would else get a pipe in its place.
OwnedFile above_standard(OwnedFile file) { return OwnedFile(fcntl(file.get(), F_DUPFD_CLOEXEC, 3)); }

struct Pipe {
  OwnedFile reader, writer;
};
Pipe make_pipe() {
  int ends[2];
  require(pipe2(ends, O_CLOEXEC) == 0, "cannot make a pipe: ", std::strerror(errno));
  Pipe made{OwnedFile(ends[0]), OwnedFile(ends[1])};
  made = {above_standard(std::move(made.reader)), above_standard(std::move(made.writer))};
  require(made.reader && made.writer, "cannot make a pipe: ", std::strerror(errno));
  return made;
}

// posix_spawn, not fork: memory of ours, and of a GPU's driver, is not copied even for a moment.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnPlan() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&files_);
  }
  SpawnPlan(const SpawnPlan&) = delete;

  // 0 or an error number.
  int start(const std::string& command, int input, int output, pid_t& pid) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    std::string shell = "sh", option = "-c", text = command;
    char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
    for (const int error :
         {posix_spawn_file_actions_adddup2(&files_, input, 0), posix_spawn_file_actions_adddup2(&files_, output, 1),
          posix_spawnattr_setflags(&attributes_,
                                   POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
          posix_spawnattr_setpgroup(&attributes_, 0), posix_spawnattr_setsigmask(&attributes_, &none),
          posix_spawnattr_setsigdefault(&attributes_, &all)})
      if (error != 0) return error;
    return posix_spawn(&pid, "/bin/sh", &files_, &attributes_, arguments, environ);
  }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

// While it lives, this thread gets no SIGPIPE; one that came is taken back. One that was waiting before stays.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigset_t waiting;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigpending(&waiting);
    was_waiting_ = sigismember(&waiting, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec now{};
    while (!was_waiting_ && sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_, before_;
  bool was_waiting_ = false;
};

std::string description(const siginfo_t& end) {
  if (end.si_code == CLD_EXITED)
    return say("ended with exit code ", end.si_status,
               end.si_status == 127 ? " (the shell found no such program)" : "");
  const char* const name = sigabbrev_np(end.si_status);
  return say("was ended by signal ", name ? name : std::to_string(end.si_status));
}

}  // namespace

ChildProcess::ChildProcess(const std::string& command) {
  Pipe to = make_pipe(), from = make_pipe();
  for (const int file : {to.writer.get(), from.reader.get()})
    require(fcntl(file, F_SETFL, O_NONBLOCK) == 0, "cannot set up a pipe: ", std::strerror(errno));
  const int error = SpawnPlan().start(command, to.reader.get(), from.writer.get(), pid_);
  if (error != 0) pid_ = -1;
  require(error == 0, "cannot start /bin/sh: ", std::strerror(error));
  input_ = std::move(to.writer);
  output_ = std::move(from.reader);
}

ssize_t ChildProcess::write(const char* data, size_t bytes) const {
  ssize_t written = 0;
  int error = 0;
  {
    const NoPipeSignal quiet;
    written = ::write(input_.get(), data, bytes);
    error = errno;
  }
  errno = error;
  return written;
}

// It is not reaped here, so that its number, which is its group's, stays its own until end().
std::optional<std::string> ChildProcess::ended_within(double seconds) const {
  const double deadline = steady_seconds() + seconds;
  for (auto pause = std::chrono::microseconds(200);; pause = std::min(2 * pause, std::chrono::microseconds(20000))) {
    siginfo_t end{};
    if (pid_ < 0 || (waitid(P_PID, id_t(pid_), &end, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD))
      return "has ended";  // somebody else reaped it
    if (end.si_pid == pid_) return description(end);
    if (steady_seconds() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(pause);
  }
}

void ChildProcess::end() {
  if (pid_ < 0) return;
  input_ = OwnedFile();
  output_ = OwnedFile();
  kill(-pid_, SIGTERM);
  ended_within(kPatience);
  kill(-pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

}  // namespace hinoki
