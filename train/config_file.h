// Config files: TOML, a file may start from another one (`base = "other.toml"`, relative to itself), and the command
// line overrides single values (`train.clip=0.5`). Later values replace earlier ones, tables are merged key by key.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "train/fields.h"

namespace hinoki {

constexpr int64_t kMaxConfigBytes = 1 << 20;

// Everything that can be wrong with a config fails with Exit::usage.
ConfigNode read_config(const std::string& path, const std::vector<std::string>& overrides = {});
ConfigNode parse_config(std::string_view text, const std::string& name);  // no base file
void override_config(ConfigNode& config, const std::vector<std::string>& overrides);

// Reads a tree that read_config() gave. For what must be known before the struct is (`recipe`), use config.find().
template <Fields Config>
void apply_config(const ConfigNode& tree, Config& config) {
  read_struct(tree, "", config);
}

template <Fields Config>
void load_config(const std::string& path, const std::vector<std::string>& overrides, Config& config) {
  apply_config(read_config(path, overrides), config);
}

template <Fields Config>
std::string print_config(const Config& config) {
  Config copy = config;
  return PrintFields::print("", copy);
}

// "train.clip = 1.0 -> 0.5" for each value in which two printed configs of one kind differ.
std::vector<std::string> compare_configs(const std::string& before, const std::string& after);

}  // namespace hinoki
