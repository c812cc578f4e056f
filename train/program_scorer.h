// Rewards by a program of the user's: a reward model, a compiler, a test suite, in whatever language.
#pragma once
#include <chrono>

#include "core/base/child_process.h"
#include "train/scorer.h"

namespace hinoki {

// The program is started once. For each answer it reads a line, a JSON object
//
//   {"prompt": "...", "answer": "...", "ended": true}
//
// in UTF-8 (bytes of an answer that are none become U+FFFD), and prints a line with one finite number, in their order.
// It may read ahead, and must flush what it printed. Its stderr is ours. When there are no more answers it is ended by
// SIGTERM.
//
// Whatever it does else is Exit::data with the command, the number of the answer and what came: it ended, it printed
// something else or more lines than it was given, it closed its output, or a batch took too long. It is then ended.
class ProgramScorer : public Scorer {
 public:
  // `seconds`: the most that a batch of answers may take; the first one waits for the program to start, too.
  ProgramScorer(std::string command, double seconds);
  std::vector<double> score(std::span<const Answered> answers) override;

 private:
  struct Batch;
  using Clock = std::chrono::steady_clock;

  void exchange(Batch& batch);
  void write_some(Batch& batch);
  void read_some(Batch& batch);
  void take_lines(Batch& batch);
  [[noreturn]] void fail_at_end_of_output(const Batch& batch);
  [[noreturn]] void fail_late(const Batch& batch);
  // Ends the program.
  template <class... Parts>
  [[noreturn]] void fail_answer(const Batch& batch, const Parts&... parts);

  std::string command_;
  double seconds_;
  ChildProcess program_;
  std::string received_;  // not yet a whole line
};

}  // namespace hinoki
