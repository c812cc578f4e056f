// A training run small enough for unit tests: a tokenizer, two splits of tokens and a config, in a temporary folder.
#pragma once
#include "tests/support/temporary_folder.h"
#include "train/gpt_task.h"

namespace hinoki::test {

struct TinyRun {
  TemporaryFolder folder;
  GptConfig config;  // of 20 steps, with dropout and accumulation on

  TinyRun();
  // A second run folder over the same data.
  GptConfig in(const std::string& run) const;
};

}  // namespace hinoki::test
