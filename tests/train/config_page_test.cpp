// docs/config.md names every key of every recipe, and no other.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/support/temporary_folder.h"
#include "train/config_file.h"
#include "train/ctc_config.h"
#include "train/gpt_config.h"
#include "train/hubert_config.h"
#include "train/ppo_config.h"
#include "train/preference_config.h"
#include "train/sft_config.h"

namespace hinoki::config_page_test {
namespace {

// As `table.key`; of the model the key alone, as in its config.json.
template <Fields Config>
std::set<std::string> keys_of(const Config& config) {
  std::set<std::string> keys;
  std::istringstream printed(print_config(config));
  std::string table;
  for (std::string line; std::getline(printed, line);) {
    const size_t from = line.find_first_not_of('['), to = line.find(from == 0 ? " = " : "]");
    if (line.empty() || to == std::string::npos) continue;
    const std::string name = line.substr(from, to - from);
    if (from > 0)
      table = name + '.';
    else
      keys.insert(table == "model." && name != "architecture" ? name : table + name);
  }
  return keys;
}

template <class... Configs>
std::set<std::string> all_keys(const Configs&... configs) {
  std::set<std::string> all;
  (all.merge(keys_of(configs)), ...);
  return all;
}

// What stands in the first column of a table.
std::set<std::string> named_rows(const std::string& page) {
  std::set<std::string> rows;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("| `")) rows.insert(line.substr(3, line.find('`', 3) - 3));
  return rows;
}

TEST(ConfigPage, NamesEveryKeyAndNoOther) {
  GptConfig gpt, gpt2;
  gpt.data.corpora.resize(1), gpt2.data.corpora.resize(1);
  gpt2.model.architecture = "gpt2";
  PpoConfig ppo;
  ppo.reward.rules.resize(1);
  const std::set<std::string> keys =
      all_keys(gpt, gpt2, SftConfig(), RewardConfig(), DpoConfig(), ppo, PpoConfig(), HubertConfig(), CtcConfig());
  EXPECT_GT(keys.size(), 150u);
  const std::string page = bytes_of_file(std::string(HINOKI_SOURCE_DIR) + "/docs/config.md");
  for (const std::string& key : keys)
    EXPECT_NE(page.find('`' + key + '`'), std::string::npos) << "docs/config.md does not name " << key;
  for (const std::string& row : named_rows(page))
    EXPECT_TRUE(keys.contains(row)) << "docs/config.md names " << row << ", which no recipe has";
}

}  // namespace
}  // namespace hinoki::config_page_test
