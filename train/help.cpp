#include "train/help.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace hinoki {
namespace {

constexpr size_t kColumn = 30, kWidth = 110;

// In lines of at most kWidth, all but the first of them behind `column` spaces. A longer word has a line of its own.
std::string wrapped(const std::string& text, size_t column) {
  std::string all;
  size_t at = column;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (std::string next; word.ends_with("default:") && words >> next) word += " " + next;
    if (at > column && at + 1 + word.size() > kWidth) {
      all += "\n" + std::string(column, ' ');
      at = column;
    } else if (at > column) {
      all += ' ', ++at;
    }
    all += word, at += word.size();
  }
  return all;
}

std::string beside(std::string left, const std::string& text) {
  left = "  " + left;
  left += left.size() < kColumn ? std::string(kColumn - left.size(), ' ') : "\n" + std::string(kColumn, ' ');
  return left + wrapped(text, kColumn) + "\n";
}

// CLI11's "INT:INT in [1 - 1024]", "INT:POSITIVE" or "TEXT:{cpu,cuda}" in words. Choices are named by the text beside,
// and that a count is not below 0 needs no word.
struct ValueType {
  std::string name, bounds;
};
ValueType type_of(const CLI::Option* option) {
  const std::string all = option->get_type_name();
  const size_t colon = all.find(':'), from = all.find(" in ["), dash = all.find(" - ", from);
  ValueType t{.name = all.substr(0, colon), .bounds = ""};
  if (all.ends_with(":POSITIVE"))
    t.bounds = "above 0";
  else if (from != all.npos && dash != all.npos)
    t.bounds = all.substr(from + 5, dash - from - 5) + " to " + all.substr(dash + 3, all.size() - dash - 4);
  else if (!all.ends_with(":NONNEGATIVE") && (colon != all.npos || t.name == "ENUM"))
    t.name = "NAME";
  if (t.name == "INT" || t.name == "UINT") t.name = "N";
  if (t.name == "FLOAT") t.name = "X";
  return t;
}

class Help final : public CLI::Formatter {
 public:
  Help() { label("Positionals", "Arguments"); }

  std::string make_description(const CLI::App* app) const override { return wrapped(app->get_description(), 0) + "\n"; }
  std::string make_subcommand(const CLI::App* sub) const override {
    return beside(sub->get_name(), sub->get_description());
  }
  // In --help-all: each command as its own help has it, the commands below it behind it.
  std::string make_expanded(const CLI::App* sub) const override {
    std::string path = sub->get_name();
    for (const CLI::App* above = sub->get_parent(); above; above = above->get_parent())
      path = above->get_name() + " " + path;
    std::string text = make_description(sub) + make_usage(sub, path) + make_positionals(sub) +
                       make_groups(sub, CLI::AppFormatMode::Sub);
    for (const CLI::App* below : sub->get_subcommands({})) text += "\n" + make_expanded(below);
    return text;
  }

  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    return beside(make_option_name(option, is_positional) + make_option_opts(option), make_option_desc(option));
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    return " " + type_of(option).name + (repeats(option) ? " ..." : "");
  }
  // The text, and what the parser knows: "Steps to time (1 to 1048576; default: 10)". A default that the parser does
  // not know stands at the end of the text in the same form.
  std::string make_option_desc(const CLI::Option* option) const override {
    std::string text = option->get_description(), standard = option->get_default_str(), facts;
    if (const size_t at = text.rfind(" (default: "); at != text.npos && text.ends_with(')')) {
      standard = text.substr(at + 11, text.size() - at - 12);
      text.resize(at);
    }
    const auto add = [&](const std::string& fact) { facts += (facts.empty() ? "" : "; ") + fact; };
    if (option->get_required()) add("required");
    if (option->get_type_size() != 0 && !type_of(option).bounds.empty()) add(type_of(option).bounds);
    if (option->nonpositional() && repeats(option)) add("may be repeated");
    std::string others;
    for (const CLI::Option* other : option->get_excludes())
      others += (others.empty() ? "" : " or ") + other->get_name();
    if (!others.empty()) add("not with " + others);
    if (!standard.empty()) add("default: " + standard);
    return facts.empty() ? text : text + " (" + facts + ")";
  }

 private:
  static bool repeats(const CLI::Option* option) {
    return option->get_expected_max() == CLI::detail::expected_max_vector_size;
  }
};

}  // namespace

void set_help(CLI::App& app) { app.formatter(std::make_shared<Help>()); }

}  // namespace hinoki
