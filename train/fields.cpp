#include "train/fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "core/base/in_quotes.h"

namespace hinoki {
namespace {

const char* kind_name(ConfigNode::Kind kind) {
  constexpr const char* names[] = {"a table", "a list", "a text", "an integer", "a number", "true or false", "a date"};
  return names[static_cast<int>(kind)];
}

std::string section(const std::string& path) { return path.empty() ? "the config" : "[" + path + "]"; }

// Edits (insert, remove, replace, swap of neighbours) that make one word the other.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before, last(b.size() + 1), now(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before = last;
    last = now;
  }
  return last[b.size()];
}

[[noreturn]] void fail_type(const ConfigNode& node, const std::string& path, const std::string& wanted) {
  fail<Exit::usage>(node.place, ": ", path, " must be ", wanted, ", not ", kind_name(node.kind));
}

}  // namespace

const ConfigNode* ConfigNode::find(const std::string& key) const {
  const auto at = std::find(keys.begin(), keys.end(), key);
  return at == keys.end() ? nullptr : &items[static_cast<size_t>(at - keys.begin())];
}

void ReadFields::finish() const {
  for (size_t i = 0; i < table_.keys.size(); ++i) {
    const std::string& key = table_.keys[i];
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      fail<Exit::usage>(table_.items[i].place, ": ", section(path_), " has no key ", in_quotes(key),
                        config::suggestion(key, known_));
  }
}

void ReadFields::check_absent(const std::string& path, Required) const {
  fail<Exit::usage>(table_.place, ": ", path, " is missing: it has no default, so the config must give it");
}

void ReadFields::check_range(const ConfigNode& node, const std::string& path, long double value, Range range) {
  if (value >= range.min && value <= range.max) return;
  std::string wanted;
  if (std::isinf(range.max))
    wanted = say("at least ", range.min);
  else if (std::isinf(range.min))
    wanted = say("at most ", range.max);
  else
    wanted = say("between ", range.min, " and ", range.max);
  fail<Exit::usage>(node.place, ": ", path, " = ", value, " must be ", wanted);
}

namespace config {

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  std::string nearest, list;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    list += (list.empty() ? "" : ", ") + candidate;
    if (word.size() > 200) continue;  // no slip of the finger, and the table grows with the word
    const size_t d = distance(word, candidate);
    if (d < least && d < candidate.size()) {
      least = d;
      nearest = candidate;
    }
  }
  return nearest.empty() ? "; it may be: " + list : "; did you mean \"" + nearest + "\"?";
}

void require_kind(const ConfigNode& node, const std::string& path, ConfigNode::Kind kind) {
  if (node.kind != kind) fail_type(node, path, kind_name(kind));
}

void fail_check(const ConfigNode& table, const std::string& path, const std::string& why) {
  fail<Exit::usage>(table.place, ": ", section(path), ": ", why);
}

bool read_boolean(const ConfigNode& node, const std::string& path) {
  require_kind(node, path, ConfigNode::Kind::boolean);
  return node.boolean;
}

int64_t read_integer(const ConfigNode& node, const std::string& path, int64_t min, int64_t max) {
  if (node.kind == ConfigNode::Kind::number) fail_type(node, path, "an integer, written without point or exponent");
  if (node.kind != ConfigNode::Kind::integer) fail_type(node, path, "an integer");
  require<Exit::usage>(min <= node.integer && node.integer <= max, node.place, ": ", path, " = ", node.integer,
                       " does not fit: it must be between ", min, " and ", max);
  return node.integer;
}

double read_number(const ConfigNode& node, const std::string& path) {
  if (node.kind == ConfigNode::Kind::integer) return static_cast<double>(node.integer);
  if (node.kind != ConfigNode::Kind::number) fail_type(node, path, "a number");
  require<Exit::usage>(std::isfinite(node.number), node.place, ": ", path, " must be a finite number");
  return node.number;
}

std::string read_text(const ConfigNode& node, const std::string& path) {
  if (node.kind != ConfigNode::Kind::text && !node.typed) fail_type(node, path, "a text in quotes");
  return node.text;
}

size_t read_choice(const ConfigNode& node, const std::string& path, const std::vector<std::string>& names) {
  const std::string text = read_text(node, path);
  const auto at = std::find(names.begin(), names.end(), text);
  if (at == names.end())
    fail<Exit::usage>(node.place, ": ", path, " cannot be ", in_quotes(text), suggestion(text, names));
  return static_cast<size_t>(at - names.begin());
}

namespace {

template <class T>
std::string shortest(T value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;  // else TOML would read an integer
}

}  // namespace

std::string print_number(float value) { return shortest(value); }
std::string print_number(double value) { return shortest(value); }

std::string print_text(const std::string& value) {
  std::string out = "\"";
  for (const char c : value) {
    char escaped[8];
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      std::snprintf(escaped, sizeof escaped, "\\u%04X", static_cast<unsigned>(c)), out += escaped;
    else
      out += c;
  }
  return out + "\"";
}

}  // namespace config
}  // namespace hinoki
