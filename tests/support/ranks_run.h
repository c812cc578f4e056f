// What a run on several ranks comes to, bit for bit.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "train/gpt_config.h"

namespace hinoki::test {

struct Bits {
  std::vector<double> losses, norms, evaluations;
  std::map<std::string, std::string> weights, moments;
  bool operator==(const Bits&) const = default;
};

struct Way {
  int ranks = 1, threads = 1;
  int64_t zero = 0;
};

// Steps of a run, from its newest snapshot or from the start, up to `until`; then what all ranks hold.
Bits train(GptConfig config, const Way& way, int64_t until, bool save = false);

}  // namespace hinoki::test
