#include "tests/end_to_end/tiny_program.h"

#include <algorithm>

#include "core/base/file.h"
#include "train/config_file.h"
#include "train/publication.h"

namespace hinoki::test {

TinyProgram::TinyProgram() { std::filesystem::permissions(tiny.folder.path(), std::filesystem::perms(0755)); }

std::string TinyProgram::config(const std::string& name) const {
  return tiny.folder.write(name + ".toml", print_config(tiny.in(name))).string();
}

const std::string& TinyProgram::trained() {
  if (trained_.empty()) {
    expect_outcome(0, {"step 20/20", "saved "}, {"train", config("trained")});
    trained_ = path("trained");
  }
  return trained_;
}

std::string TinyProgram::newest_snapshot(const std::string& run) const {
  const auto all = list_snapshots(run + "/snapshots");
  return all.empty() ? "" : all.back().path;
}

std::vector<std::string> losses_in(const std::string& run) {
  std::vector<std::string> losses;
  std::istringstream lines(bytes_of_file(run + "/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const std::string key = "\"train/loss\": ";
    const size_t at = line.find(key);
    if (at == line.npos) continue;
    const std::string loss = line.substr(at + key.size());
    losses.push_back(line.substr(0, line.find(',')) + " " + loss.substr(0, loss.find(',')));
  }
  return losses;
}

std::string weights_of(const std::string& snapshot) {
  return bytes_of_file(snapshot + "/model.safetensors") + bytes_of_file(snapshot + "/state/optimizer.safetensors");
}

std::vector<std::string> names_in(const std::string& folder) { return list_directory(folder); }

std::string numbered_lines(int64_t count) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) text += say("行", i, "は、", i * 7919 % 3001, "です。\n");
  return text;
}

void flip_bit(const std::filesystem::path& file, int64_t offset) {
  std::string bytes = bytes_of_file(file);
  ASSERT_FALSE(bytes.empty());
  const auto size = int64_t(bytes.size());
  bytes[size_t(offset < 0 ? size + offset : offset)] ^= 4;
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace hinoki::test
