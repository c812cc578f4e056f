// `hinoki train` within the test program.
#pragma once
#include <algorithm>
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tests/support/tiny_run.h"
#include "train/commands.h"
#include "train/config_file.h"

namespace hinoki::test {

inline void train(const TinyRun& tiny, const GptConfig& config, const std::vector<std::string>& overrides = {}) {
  CLI::App app;
  add_train_command(app);
  std::vector<std::string> words{"train", tiny.folder.write("config.toml", print_config(config)).string()};
  words.insert(words.end(), overrides.begin(), overrides.end());
  std::reverse(words.begin(), words.end());
  app.parse(words);
}

}  // namespace hinoki::test
