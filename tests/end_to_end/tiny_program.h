// A tiny run (tests/support/tiny_run.h) as the program sees it: a config file, run folders, models.
#pragma once
#include "tests/end_to_end/program.h"
#include "tests/support/tiny_run.h"
#include "train/gpt_config.h"

namespace hinoki::test {

struct TinyProgram {
  TinyRun tiny;

  TinyProgram();  // its folder is open to everyone
  std::string path(const std::string& name) const { return (tiny.folder / name).string(); }
  // Writes NAME.toml, whose run folder is NAME, and gives its path.
  std::string config(const std::string& name) const;
  // A run to its end; gives its run folder. Kept between calls.
  const std::string& trained();
  std::string newest_snapshot(const std::string& run) const;

 private:
  std::string trained_;
};

// The records of metrics.jsonl that have losses: "step loss", as text.
std::vector<std::string> losses_in(const std::string& run);
std::string weights_of(const std::string& snapshot);  // the bytes of weights and moments
std::vector<std::string> names_in(const std::string& folder);
std::string numbered_lines(int64_t count);                         // Japanese text, no line twice
void flip_bit(const std::filesystem::path& file, int64_t offset);  // negative: from the end

}  // namespace hinoki::test
