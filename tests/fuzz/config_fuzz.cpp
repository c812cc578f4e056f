// Any text, as a config file or as a value on the command line, is read, or refused with an Error. What was read prints
// as a config that reads back as the same.
#include <array>
#include <cstdlib>

#include "train/config_file.h"

namespace {

using namespace hinoki;

enum class Kind { one, two };
constexpr auto enum_names(Kind) { return std::array{"one", "two"}; }

struct Part {
  std::string path;
  double weight = 1;
  template <class V>
  void fields(V& v) {
    v("path", path, required);
    v("weight", weight, Range{0});
  }
};

struct Config {
  int64_t steps = 1;
  float clip = 1;
  bool on = false;
  Kind kind = Kind::one;
  std::string text;
  Part part{.path = "p"};
  std::vector<Part> parts;
  std::vector<double> numbers;
  template <class V>
  void fields(V& v) {
    v("steps", steps, Range{1});
    v("clip", clip);
    v("on", on);
    v("kind", kind);
    v("text", text);
    v("part", part);
    v("parts", parts);
    v("numbers", numbers, Range{-1, 1});
  }
};

std::string read(const ConfigNode& tree) {
  Config config;
  apply_config(tree, config);
  return print_config(config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const std::string printed = read(parse_config(text, "fuzz"));
    if (read(parse_config(printed, "printed")) != printed) std::abort();
    if (!compare_configs(printed, printed).empty()) std::abort();
  } catch (const Error&) {
  }
  try {
    ConfigNode tree = parse_config("[[parts]]\npath = \"x\"\n", "fuzz");
    override_config(tree, {text});
    read(tree);
  } catch (const Error&) {
  }
  return 0;
}
