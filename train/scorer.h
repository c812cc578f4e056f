// What an answer is worth: the reward that reinforcement learning raises.
#pragma once
#include <span>
#include <string>
#include <vector>

namespace hinoki {

// One question and what the model made of it, without special tokens. The model's bytes need not be good UTF-8.
struct Answered {
  std::string prompt, answer;
  bool ended = false;  // the end of text came; else the answer was cut off
};

class Scorer {
 public:
  virtual ~Scorer() = default;
  // One finite number for each answer, in their order.
  virtual std::vector<double> score(std::span<const Answered> answers) = 0;
};

}  // namespace hinoki
