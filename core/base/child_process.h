// A program of the user's beside ours, with a pipe to its input and one from its output. What it says to stderr goes to
// our stderr.
#pragma once
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "core/base/handle.h"

namespace hinoki {

using OwnedFile = Handle<int, &::close, -1>;

class ChildProcess {
 public:
  // Starts `command` by /bin/sh -c in a process group of its own (a Ctrl-C that asks us to stop is not for it), with no
  // signal blocked or ignored. A shell that does not start is Exit::failure; a command that it does not find is an end
  // with code 127.
  explicit ChildProcess(const std::string& command);
  ~ChildProcess() { end(); }
  ChildProcess(const ChildProcess&) = delete;

  // Our ends of the pipes, which never block. After end() they are closed: -1.
  int input() const { return input_.get(); }
  int output() const { return output_.get(); }
  // As write(2), but that a pipe which nobody reads is EPIPE alone, and no SIGPIPE.
  ssize_t write(const char* data, size_t bytes) const;

  // How it ended ("ended with exit code 3", "was ended by signal KILL"), as soon as that is known; nothing if it still
  // runs after `seconds`.
  std::optional<std::string> ended_within(double seconds) const;
  // Ends whatever is left of its process group: SIGTERM, after two seconds SIGKILL. It is reaped.
  void end();

 private:
  pid_t pid_ = -1;
  OwnedFile input_, output_;
};

}  // namespace hinoki
