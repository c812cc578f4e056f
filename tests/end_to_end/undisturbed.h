// A run that nobody disturbed, and that another one has come to the same end.
#pragma once
#include <string>
#include <vector>

#include "tests/end_to_end/tiny_program.h"

namespace hinoki::test {

struct Undisturbed {
  std::vector<std::string> overrides;  // of its config
  std::string last;                    // the name of its last snapshot
  std::string bytes;                   // the weights and moments in it
  std::vector<std::string> losses;
  std::chrono::microseconds to_first_step, to_end;  // on this machine, at this load

  Undisturbed(const TinyProgram& p, std::vector<std::string> overrides);
  std::vector<std::string> train(const std::string& config) const;  // the arguments for the same run
  void expect_same(const TinyProgram& p, const std::string& run) const;
};

// Names that a run folder may have when nobody works there.
void expect_tidy(const std::string& run);

}  // namespace hinoki::test
