// The program as its users meet it: a child process with arguments, signals, limits, and what it says.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hinoki::test {

struct Surroundings {
  int64_t largest_file = 0;   // no file may grow past it (EFBIG instead of a signal), as on a full disk; 0: no limit
  bool unprivileged = false;  // as a user who may not do everything, when the tests are run by root
  std::map<std::string, std::string> environment = {};
  bool asked = false;         // reads what tell() says; else its input is empty
  int ranks = 0;  // started by mpirun as so many processes; 0: by itself
  std::vector<std::string> last_rank = {};  // arguments that only the last of them is given
};

struct Outcome {
  int code = -1;  // the exit code, or minus the signal that ended it
  std::string out, err;
  std::vector<std::string> writes = {};  // `out`, one element for each write of the program
  int64_t peak_memory = 0;               // resident, in bytes
};

class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments, const Surroundings& around = {});
  ~Program();  // ends it by force if it still runs
  Program(const Program&) = delete;

  // Until `part` stands in what it wrote to stderr, or it ended: then false.
  bool wait_for(const std::string& part);
  // The same of stdout.
  bool wait_to_read(const std::string& part);
  void tell(const std::string& text);  // to its stdin
  void stop_telling();                 // the end of its input
  void run_for(std::chrono::milliseconds time);  // or until it ends
  void send(int signal);
  void stop_listening();  // closes the pipes it writes to
  Outcome finish();
  pid_t pid() const { return pid_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool wait_for(const std::string& part, const std::string& heard);
  // Reads until `enough` holds or both pipes are at their end; false after `deadline`.
  bool pump(const std::function<bool()>& enough, Clock::time_point deadline);

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  Outcome outcome_;
};

const char* program_path();

Outcome run_program(const std::vector<std::string>& arguments, const Surroundings& around = {});

// Runs it to its end and expects the code, all parts in its message, and no word of a sanitizer.
Outcome expect_outcome(int code, const std::vector<std::string>& parts, const std::vector<std::string>& arguments,
                       const Surroundings& around = {});

}  // namespace hinoki::test
