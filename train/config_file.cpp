#include "train/config_file.h"

#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>

#include "core/base/file.h"
#include "core/base/in_quotes.h"

namespace hinoki {
namespace {

using Kind = ConfigNode::Kind;

// The parser builds one table per dot and walks them recursively later: a line of dots would exhaust the stack.
void refuse_deep_keys(std::string_view text, const std::string& name) {
  constexpr int kMostDots = 256;
  int64_t line = 1;
  int dots = 0;
  for (const char c : text) {
    line += c == '\n';
    if (c == '.')
      require<Exit::usage>(++dots <= kMostDots, name, ":", line, ": a key or text with more than ", kMostDots, " dots");
    else if (c == '\n' || c == '=' || c == ',' || c == '{' || c == '[')
      dots = 0;
  }
}

ConfigNode convert(const toml::node& from, const std::string& name) {
  ConfigNode node;
  node.place = say(name, ":", std::max<int64_t>(1, from.source().begin.line));
  if (const auto* table = from.as_table()) {
    for (const auto& [key, value] : *table) {
      node.keys.emplace_back(key.str());
      node.items.push_back(convert(value, name));
    }
  } else if (const auto* array = from.as_array()) {
    node.kind = Kind::array;
    for (const toml::node& value : *array) node.items.push_back(convert(value, name));
  } else if (const auto* text = from.as_string()) {
    node.kind = Kind::text;
    node.text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    node.kind = Kind::integer;
    node.integer = integer->get();
  } else if (const auto* number = from.as_floating_point()) {
    node.kind = Kind::number;
    node.number = number->get();
  } else if (const auto* boolean = from.as_boolean()) {
    node.kind = Kind::boolean;
    node.boolean = boolean->get();
  } else {
    node.kind = Kind::date;
  }
  return node;
}

void merge(ConfigNode& below, ConfigNode above) {
  if (below.kind != Kind::table || above.kind != Kind::table) {
    below = std::move(above);
    return;
  }
  below.place = above.place;
  for (size_t i = 0; i < above.keys.size(); ++i) {
    const auto at = std::find(below.keys.begin(), below.keys.end(), above.keys[i]);
    if (at != below.keys.end()) {
      merge(below.items[static_cast<size_t>(at - below.keys.begin())], std::move(above.items[i]));
    } else {
      below.keys.push_back(above.keys[i]);
      below.items.push_back(std::move(above.items[i]));
    }
  }
}

void erase(ConfigNode& table, const std::string& key) {
  const auto at = std::find(table.keys.begin(), table.keys.end(), key);
  if (at == table.keys.end()) return;
  table.items.erase(table.items.begin() + (at - table.keys.begin()));
  table.keys.erase(at);
}

ConfigNode read_with_bases(const std::string& path, std::vector<std::string>& chain) {
  std::error_code ignored;
  const std::string canonical = std::filesystem::weakly_canonical(path, ignored).string();
  const bool cycle = std::find(chain.begin(), chain.end(), canonical) != chain.end();
  chain.push_back(canonical);
  if (cycle) {
    std::string circle;
    for (const std::string& file : chain) circle += (circle.empty() ? "" : " -> ") + file;
    fail<Exit::usage>(path, ": base files in a circle: ", circle);
  }
  std::string text;
  try {
    text = read_file(path, kMaxConfigBytes);
  } catch (const Error& error) {
    fail<Exit::usage>(error.what());
  }
  ConfigNode own = parse_config(text, path);
  const ConfigNode* const base = own.find("base");
  if (!base) return own;
  const std::string name = config::read_text(*base, "base");
  require<Exit::usage>(!name.empty(), base->place, ": base names no file");
  const auto base_path = std::filesystem::path(path).parent_path() / name;
  require<Exit::usage>(is_file(base_path.string()), base->place, ": the base file ", base_path.string(),
                       " does not exist");
  ConfigNode tree = read_with_bases(base_path.string(), chain);
  erase(own, "base");
  merge(tree, std::move(own));
  return tree;
}

// The value as TOML, or else as a text whose quotes the shell has eaten.
ConfigNode read_typed(const std::string& value, const std::string& place) {
  ConfigNode line;
  try {
    line = parse_config("value = " + value + "\n", place);
  } catch (const Error&) {
  }
  if (line.items.size() != 1) line = parse_config("value = " + config::print_text(value) + "\n", place);
  ConfigNode node = std::move(line.items[0]);
  const auto mark = [&](ConfigNode& n, const auto& self) -> void {
    n.place = place;
    for (ConfigNode& item : n.items) self(item, self);
  };
  mark(node, mark);
  if (node.kind != Kind::text) node.text = value;
  node.typed = true;
  return node;
}

ConfigNode& descend(ConfigNode& node, const std::string& key, const std::string& place) {
  if (node.kind == Kind::array) {
    const bool digits = !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
    require<Exit::usage>(digits && std::stoul(key) < node.items.size(), place, ": ", in_quotes(key),
                         " is not one of the list's ", node.items.size(), " places (the first is 0)");
    return node.items[std::stoul(key)];
  }
  require<Exit::usage>(node.kind == Kind::table, place, ": ", in_quotes(key), " lies in something that is not a table");
  const auto at = std::find(node.keys.begin(), node.keys.end(), key);
  if (at != node.keys.end()) return node.items[static_cast<size_t>(at - node.keys.begin())];
  node.keys.push_back(key);
  node.items.emplace_back().place = place;
  return node.items.back();
}

std::vector<std::pair<std::string, std::string>> flatten(const std::string& toml) {
  std::vector<std::pair<std::string, std::string>> values;
  const auto visit = [&](const ConfigNode& node, const std::string& path, const auto& self) -> void {
    const auto below = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
    switch (node.kind) {
      case Kind::table:
        for (size_t i = 0; i < node.items.size(); ++i) self(node.items[i], below(node.keys[i]), self);
        break;
      case Kind::array:
        for (size_t i = 0; i < node.items.size(); ++i) self(node.items[i], below(std::to_string(i)), self);
        break;
      case Kind::text:
        values.emplace_back(path, config::print_text(node.text));
        break;
      case Kind::integer:
        values.emplace_back(path, std::to_string(node.integer));
        break;
      case Kind::number:
        values.emplace_back(path, config::print_number(node.number));
        break;
      case Kind::boolean:
        values.emplace_back(path, node.boolean ? "true" : "false");
        break;
      case Kind::date:
        break;  // never printed
    }
  };
  visit(parse_config(toml, "config"), "", visit);
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

ConfigNode parse_config(std::string_view text, const std::string& name) {
  require<Exit::usage>(static_cast<int64_t>(text.size()) <= kMaxConfigBytes, name, ": larger than ", kMaxConfigBytes,
                       " bytes");
  refuse_deep_keys(text, name);
  try {
    ConfigNode tree = convert(toml::parse(text, std::string_view(name)), name);
    return tree;
  } catch (const toml::parse_error& error) {
    fail<Exit::usage>(name, ":", error.source().begin.line, ":", error.source().begin.column, ": ",
                      error.description());
  }
}

void override_config(ConfigNode& config, const std::vector<std::string>& overrides) {
  for (const std::string& text : overrides) {
    const std::string place = "command line \"" + text + "\"";
    const size_t equals = text.find('=');
    require<Exit::usage>(equals != std::string::npos && equals > 0, place,
                         ": is not of the form key=value or table.key=value");
    require<Exit::usage>(equals < 256, place, ": the key is too long");
    ConfigNode* node = &config;
    for (size_t at = 0; at <= equals;) {
      const size_t end = std::min(text.find('.', at), equals);
      require<Exit::usage>(end > at, place, ": a part of the key is empty");
      node = &descend(*node, text.substr(at, end - at), place);
      at = end + 1;
    }
    *node = read_typed(text.substr(equals + 1), place);
  }
}

ConfigNode read_config(const std::string& path, const std::vector<std::string>& overrides) {
  std::vector<std::string> chain;
  ConfigNode tree = read_with_bases(path, chain);
  override_config(tree, overrides);
  return tree;
}

std::vector<std::string> compare_configs(const std::string& before, const std::string& after) {
  const auto a = flatten(before), b = flatten(after);
  std::vector<std::string> lines;
  auto i = a.begin();
  auto j = b.begin();
  while (i != a.end() || j != b.end()) {
    if (j == b.end() || (i != a.end() && i->first < j->first)) {
      lines.push_back(i->first + " = " + i->second + " -> absent"), ++i;
    } else if (i == a.end() || j->first < i->first) {
      lines.push_back(j->first + " = absent -> " + j->second), ++j;
    } else {
      if (i->second != j->second) lines.push_back(i->first + " = " + i->second + " -> " + j->second);
      ++i, ++j;
    }
  }
  return lines;
}

}  // namespace hinoki
