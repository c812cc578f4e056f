// A config is a struct that lists its fields once; reading, checking, printing and comparing all visit that list:
//
//   struct TrainConfig {
//     int64_t steps = 1000;
//     double clip = 1;
//     Schedule schedule = Schedule::cosine;
//     std::vector<Corpus> corpora;
//     template <class V> void fields(V& v) {
//       v("steps", steps, Range{1});
//       v("clip", clip, Range{0});
//       v("schedule", schedule);
//       v("corpora", corpora, required);
//     }
//     void check() const;   // optional: what no single field can know; fails with Exit::usage
//   };
//   constexpr auto enum_names(Schedule) { return std::array{"constant", "linear", "cosine"}; }  // in the enum's order
//
// Fields are bool, int, int64_t, float, double, std::string, such enums, such structs, and vectors of these.
#pragma once
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/check.h"

namespace hinoki {

// What a number may be, both ends included.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};
// The key must be given; without it a field keeps its default.
struct Required {};
constexpr Required required;

// A config as written: a tree that still knows the place of each value.
struct ConfigNode {
  enum class Kind { table, array, text, integer, number, boolean, date };
  Kind kind = Kind::table;
  std::string place;   // "file:line", or the command line's argument
  std::string text;    // a text's value; of a command-line value, what was typed
  bool typed = false;  // on the command line, where quotes around a text may be missing
  int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  std::vector<std::string> keys;  // of a table, beside items
  std::vector<ConfigNode> items;  // of a table or an array

  const ConfigNode* find(const std::string& key) const;
};

struct AnyVisitor {
  template <class... Arguments>
  void operator()(Arguments&&...) {}
};
template <class T>
concept Fields = requires(T t, AnyVisitor v) {
  t.fields(v);
};
template <class T>
concept Checked = requires(const T t) {
  t.check();
};
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T t) {
  enum_names(t);
};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {
  using Item = T;
};

// Reads a tree into a struct. Fails with Exit::usage and the place: unknown key, wrong type, out of range.
class ReadFields {
 public:
  ReadFields(const ConfigNode& table, std::string path) : table_(table), path_(std::move(path)) {}

  template <class T, class... Rules>
  void operator()(const char* name, T& field, Rules... rules) {
    known_.push_back(name);
    if (const ConfigNode* const node = table_.find(name))
      read(*node, join(name), field), (check(*node, join(name), field, rules), ...);
    else
      (check_absent(join(name), rules), ...);
  }

  void finish() const;  // complains about keys that no field has taken

 private:
  template <class T>
  static void read(const ConfigNode& node, const std::string& path, T& field);

  static void check(const ConfigNode&, const std::string&, const auto&, Required) {}
  template <class T>
  static void check(const ConfigNode& node, const std::string& path, const T& field, Range range) {
    if constexpr (IsVector<T>::value)
      for (const auto& item : field) check_range(node, path, item, range);
    else
      check_range(node, path, field, range);
  }
  void check_absent(const std::string&, Range) const {}
  void check_absent(const std::string& path, Required) const;
  static void check_range(const ConfigNode& node, const std::string& path, long double value, Range range);

  std::string join(const char* name) const { return path_.empty() ? name : path_ + "." + name; }

  const ConfigNode& table_;
  std::string path_;
  std::vector<std::string> known_;
};

// The conversions that ReadFields and PrintFields need; each names the place when it fails.
namespace config {
bool read_boolean(const ConfigNode& node, const std::string& path);
int64_t read_integer(const ConfigNode& node, const std::string& path, int64_t min, int64_t max);
double read_number(const ConfigNode& node, const std::string& path);
std::string read_text(const ConfigNode& node, const std::string& path);
size_t read_choice(const ConfigNode& node, const std::string& path, const std::vector<std::string>& names);
void require_kind(const ConfigNode& node, const std::string& path, ConfigNode::Kind kind);
[[noreturn]] void fail_check(const ConfigNode& table, const std::string& path, const std::string& why);

// What to say after "there is no WORD": the nearest of what is known, or all of it.
std::string suggestion(const std::string& word, const std::vector<std::string>& known);

std::string print_number(float value);  // the shortest text that reads back as the same bits
std::string print_number(double value);
std::string print_text(const std::string& value);
}  // namespace config

template <Fields T>
void read_struct(const ConfigNode& table, const std::string& path, T& value) {
  ReadFields reader(table, path);
  value.fields(reader);
  reader.finish();
  if constexpr (Checked<T>) try {
      std::as_const(value).check();
    } catch (const Error& error) {
      config::fail_check(table, path, error.what());
    }
}

template <class T>
void ReadFields::read(const ConfigNode& node, const std::string& path, T& field) {
  if constexpr (Fields<T>) {
    config::require_kind(node, path, ConfigNode::Kind::table);
    read_struct(node, path, field);
  } else if constexpr (IsVector<T>::value) {
    config::require_kind(node, path, ConfigNode::Kind::array);
    field.clear();
    for (const ConfigNode& item : node.items) {
      typename IsVector<T>::Item value{};
      read(item, path, value);
      field.push_back(std::move(value));
    }
  } else if constexpr (NamedEnum<T>) {
    const auto names = enum_names(T{});
    field = static_cast<T>(config::read_choice(node, path, {names.begin(), names.end()}));
  } else if constexpr (std::same_as<T, bool>) {
    field = config::read_boolean(node, path);
  } else if constexpr (std::integral<T>) {
    field =
        static_cast<T>(config::read_integer(node, path, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  } else if constexpr (std::floating_point<T>) {
    field = static_cast<T>(config::read_number(node, path));
  } else {
    static_assert(std::same_as<T, std::string>, "a config field of a type that configs do not have");
    field = config::read_text(node, path);
  }
}

// Prints a struct as TOML, every field of it; reading that gives the same struct, bit by bit.
class PrintFields {
 public:
  explicit PrintFields(std::string path) : path_(std::move(path)) {}

  template <class T, class... Rules>
  void operator()(const char* name, T& field, Rules...) {
    const std::string path = path_.empty() ? name : path_ + "." + name;
    if constexpr (Fields<T>) {
      tables_ += "\n[" + path + "]\n" + print(path, field);
    } else if constexpr (IsVector<T>::value) {
      if constexpr (Fields<typename IsVector<T>::Item>) {
        for (auto& item : field) tables_ += "\n[[" + path + "]]\n" + print(path, item);
        if (field.empty()) values_ += std::string(name) + " = []\n";
      } else {
        std::string list;
        for (const auto& item : field) list += (list.empty() ? "" : ", ") + value(item);
        values_ += std::string(name) + " = [" + list + "]\n";
      }
    } else {
      values_ += std::string(name) + " = " + value(field) + "\n";
    }
  }

  template <Fields T>
  static std::string print(const std::string& path, T& value) {
    PrintFields printer(path);
    value.fields(printer);
    return printer.values_ + printer.tables_;  // TOML wants a table's own values before its sub-tables
  }

 private:
  template <class T>
  static std::string value(const T& field) {
    if constexpr (NamedEnum<T>)
      return config::print_text(enum_names(T{}).at(static_cast<size_t>(field)));
    else if constexpr (std::same_as<T, bool>)
      return field ? "true" : "false";
    else if constexpr (std::integral<T>)
      return std::to_string(field);
    else if constexpr (std::floating_point<T>)
      return config::print_number(field);
    else
      return config::print_text(field);
  }

  std::string path_, values_, tables_;
};

}  // namespace hinoki
