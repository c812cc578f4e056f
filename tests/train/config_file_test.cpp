#include "train/config_file.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>

#include "core/base/file.h"
#include "core/base/philox.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace hinoki::config_file_test {
namespace {

enum class Schedule { constant, linear, cosine };
constexpr auto enum_names(Schedule) { return std::array{"constant", "linear", "cosine"}; }

struct Corpus {
  std::string path;
  double weight = 1;
  template <class V>
  void fields(V& v) {
    v("path", path, required);
    v("weight", weight, Range{0});
  }
};

struct Optimizer {
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.95};
  template <class V>
  void fields(V& v) {
    v("lr", lr, Range{0});
    v("betas", betas, Range{0, 1});
  }
};

struct Train {
  int64_t steps = 1000;
  int micro_batches = 1;
  float clip = 1;
  double dropout = 0.1;
  bool recompute = false;
  Schedule schedule = Schedule::cosine;
  Optimizer optimizer;
  template <class V>
  void fields(V& v) {
    v("steps", steps, Range{1});
    v("micro_batches", micro_batches, Range{1});
    v("clip", clip, Range{0});
    v("dropout", dropout, Range{0, 1});
    v("recompute", recompute);
    v("schedule", schedule);
    v("optimizer", optimizer);
  }
  void check() const {
    require<Exit::usage>(steps % micro_batches == 0, "micro_batches = ", micro_batches, " must divide steps = ", steps);
  }
};

struct Config {
  std::string recipe = "gpt";
  Train train;
  std::vector<Corpus> corpora;
  std::vector<std::string> tags;
  std::vector<int64_t> sizes;
  template <class V>
  void fields(V& v) {
    v("recipe", recipe);
    v("train", train);
    v("corpora", corpora);
    v("tags", tags);
    v("sizes", sizes);
  }
};

Config load(const std::string& text, const std::vector<std::string>& overrides = {}) {
  ConfigNode tree = parse_config(text, "run.toml");
  override_config(tree, overrides);
  Config config;
  apply_config(tree, config);
  return config;
}

void refuse(const std::string& text, const std::vector<std::string>& parts,
            const std::vector<std::string>& overrides = {}) {
  SCOPED_TRACE(text);
  expect_error(Exit::usage, parts, [&] { load(text, overrides); });
}

TEST(ConfigFile, ReadsEveryKindOfField) {
  const Config c = load(R"(
recipe = "sft"
tags = ["a", "日本"]
sizes = [1, 2_000]
[train]
steps = 0x10
clip = 2          # an integer where a number is wanted
recompute = true
schedule = "linear"
[train.optimizer]
lr = 1e-4
[[corpora]]
path = "a.h5"
[[corpora]]
path = "b.h5"
weight = 0.25
)");
  EXPECT_EQ(c.recipe, "sft");
  EXPECT_EQ(c.tags, (std::vector<std::string>{"a", "日本"}));
  EXPECT_EQ(c.sizes, (std::vector<int64_t>{1, 2000}));
  EXPECT_EQ(c.train.steps, 16);
  EXPECT_EQ(c.train.clip, 2.0f);
  EXPECT_TRUE(c.train.recompute);
  EXPECT_EQ(c.train.schedule, Schedule::linear);
  EXPECT_EQ(c.train.optimizer.lr, 1e-4);
  EXPECT_EQ(c.train.optimizer.betas, (std::vector<double>{0.9, 0.95}));  // untouched default
  ASSERT_EQ(c.corpora.size(), 2u);
  EXPECT_EQ(c.corpora[0].weight, 1);
  EXPECT_EQ(c.corpora[1].weight, 0.25);
}

TEST(ConfigFile, RefusesWithPlaceAndRemedy) {
  refuse("[train]\n\nclp = 0.5\n", {"run.toml:3: [train] has no key \"clp\"; did you mean \"clip\"?"});
  refuse("[trian]\n", {"run.toml:1: the config has no key \"trian\"; did you mean \"train\"?"});
  refuse("[train]\nxyzzy = 1\n", {"run.toml:2", "it may be: steps, micro_batches, clip"});
  refuse("[train.optimizer]\nrl = 1\n", {"run.toml:2: [train.optimizer] has no key \"rl\"", "\"lr\""});
  refuse("[train]\nsteps = \"many\"\n", {"run.toml:2: train.steps must be an integer, not a text"});
  refuse("[train]\nsteps = 1e6\n", {"train.steps must be an integer, written without point"});
  refuse("[train]\nsteps = 0\n", {"run.toml:2: train.steps = 0 must be at least 1"});
  refuse("[train]\ndropout = 1.5\n", {"train.dropout = 1.5 must be between 0 and 1"});
  refuse("[train]\ndropout = nan\n", {"train.dropout must be a finite number"});
  refuse("[train]\nmicro_batches = 3000000000\n", {"train.micro_batches = 3000000000 does not fit"});
  refuse("[train]\nsteps = 99999999999999999999\n", {"run.toml:2"});
  refuse("[train.optimizer]\nbetas = [0.9, -1]\n", {"train.optimizer.betas = -1 must be between"});
  refuse("[train]\nrecompute = 1\n", {"train.recompute must be true or false, not an integer"});
  refuse("[train]\nschedule = \"cosin\"\n", {"train.schedule cannot be \"cosin\"; did you mean \"cosine\"?"});
  refuse("train = 3\n", {"run.toml:1: train must be a table, not an integer"});
  refuse("recipe = 1979-05-27\n", {"recipe must be a text in quotes, not a date"});
  refuse("[[corpora]]\nweight = 1\n", {"run.toml:1: corpora.path is missing"});
  refuse("corpora = [1]\n", {"corpora must be a table, not an integer"});
  refuse("[train]\nsteps = 10\nmicro_batches = 3\n", {"run.toml:1: [train]: micro_batches = 3 must divide steps = 10"});
  refuse("a = \n", {"run.toml:1:"});
  refuse("a = \"\xff\"\n", {"run.toml:1:"});
  refuse("a = 1\na = 2\n", {"run.toml:2:"});
}

TEST(ConfigFile, HostileTextIsAnError) {
  std::string dots = "a";
  for (int i = 0; i < 300'000; ++i) dots += ".a";
  refuse(dots + " = 1\n", {"run.toml:1", "more than 256 dots"});
  refuse("[" + dots + "]\n", {"more than 256 dots"});
  refuse("x = " + std::string(100'000, '['), {"run.toml:1"});
  refuse("x = 1\u00ff\n", {"run.toml:1"});  // a letter where the library may run off a function's end
  EXPECT_EQ(load("recipe = \"\"\"a\\\n\u00ff\"\"\"\n").recipe, "a\u00ff");
  refuse("x = 1979-05-27T:2:03070Z\n", {"run.toml: the TOML reader"});  // on which the library aborts by itself
  refuse(std::string(kMaxConfigBytes + 1, ' '), {"larger than"});
}

TEST(ConfigFile, CommandLineOverrides) {
  const std::string file = "[[corpora]]\npath = \"a\"\n";
  const Config c = load(file, {"train.clip=0.5", "recipe=ppo", "train.optimizer.betas=[0.8, 0.9]", "corpora.0.weight=3",
                               "tags=[\"x=y\"]", "train.schedule=constant", "corpora.0.path=2024"});
  EXPECT_EQ(c.train.clip, 0.5f);
  EXPECT_EQ(c.recipe, "ppo");
  EXPECT_EQ(c.train.optimizer.betas, (std::vector<double>{0.8, 0.9}));
  EXPECT_EQ(c.corpora[0].weight, 3);
  EXPECT_EQ(c.corpora[0].path, "2024");  // a text needs no quotes, even if it looks like a number
  EXPECT_EQ(c.tags, std::vector<std::string>{"x=y"});
  EXPECT_EQ(c.train.schedule, Schedule::constant);
  EXPECT_EQ(load("", {"recipe=a\nb = 3"}).recipe, "a\nb = 3");  // cannot smuggle in a second key

  refuse("", {"command line \"train.clp=1\": [train] has no key \"clp\"", "\"clip\""}, {"train.clp=1"});
  refuse("", {"command line \"train.steps=x\": train.steps must be an integer"}, {"train.steps=x"});
  refuse("", {"is not of the form key=value"}, {"train.steps"});
  refuse("", {"a part of the key is empty"}, {"train..steps=1"});
  refuse(file, {"not one of the list's 1 places"}, {"corpora.1.weight=2"});
  refuse("recipe = \"gpt\"\n", {"lies in something that is not a table"}, {"recipe.x=2"});
  refuse("", {"command line"}, {"recipe=\xff\xfe"});
}

TEST(ConfigFile, BaseFiles) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  write_file_durably(folder / "base.toml",
                     "recipe = \"gpt\"\n[train]\nsteps = 8\nclip = 3\n[[corpora]]\npath = \"b\"\n");
  write_file_durably(folder / "sub/middle.toml", "base = \"../base.toml\"\n[train]\nclip = 4\n");
  write_file_durably(folder / "sub/top.toml",
                     "base = \"middle.toml\"\n[train.optimizer]\nlr = 5\n[[corpora]]\npath = \"t\"\n");
  Config c;
  load_config(folder / "sub/top.toml", {"train.steps=16"}, c);
  EXPECT_EQ(c.train.steps, 16);
  EXPECT_EQ(c.train.clip, 4);
  EXPECT_EQ(c.train.optimizer.lr, 5);
  ASSERT_EQ(c.corpora.size(), 1u);  // a list replaces a list
  EXPECT_EQ(c.corpora[0].path, "t");

  write_file_durably(folder / "base.toml", "[train]\nclp = 3\n");
  expect_error(Exit::usage, {"base.toml:2: [train] has no key \"clp\""},
               [&] { load_config(folder / "sub/top.toml", {}, c); });
  write_file_durably(folder / "base.toml", "base = \"sub/top.toml\"\n");
  expect_error(Exit::usage, {"base files in a circle", "middle.toml"},
               [&] { load_config(folder / "sub/top.toml", {}, c); });
  write_file_durably(folder / "base.toml", "\nbase = \"none.toml\"\n");
  expect_error(Exit::usage, {"base.toml:2: the base file", "none.toml does not exist"},
               [&] { load_config(folder / "base.toml", {}, c); });
  expect_error(Exit::usage, {"absent.toml"}, [&] { load_config(folder / "absent.toml", {}, c); });
  expect_error(Exit::usage, {"is a folder"}, [&] { load_config(folder.path(), {}, c); });
}

TEST(ConfigFile, PrintedConfigReadsBackTheSameBits) {
  for (uint64_t i = 0; i < 2000; ++i) {
    const Random4 bits = philox({.seed = 1}, i);
    Config c;
    uint64_t wide = (uint64_t{bits[0]} << 32 | bits[1]) & ~(uint64_t{1} << 63);  // not negative, as lr may not be
    double number;
    std::memcpy(&number, &wide, 8);
    if (!std::isfinite(number)) continue;
    c.train.optimizer.lr = number;
    uint32_t narrow = bits[2] & 0x7fffffff;
    std::memcpy(&c.train.clip, &narrow, 4);
    if (!std::isfinite(c.train.clip)) c.train.clip = 0;
    c.train.optimizer.betas = {static_cast<double>(bits[3]) / 4294967296.0, 1, 0};
    c.recipe = std::string("\"\\\n\t\x01\x7f 日本 ") + std::to_string(bits[3]);
    c.corpora = {{.path = "a\r\n", .weight = 1e300}, {.path = "", .weight = 0.1}};
    c.sizes = {INT64_MIN, INT64_MAX};
    const std::string text = print_config(c);
    const Config back = load(text);
    ASSERT_EQ(std::memcmp(&back.train.optimizer.lr, &number, 8), 0) << text;
    ASSERT_EQ(std::memcmp(&back.train.clip, &c.train.clip, 4), 0) << text;
    ASSERT_EQ(back.recipe, c.recipe);
    ASSERT_EQ(print_config(back), text);
  }
  const std::string text = print_config(Config{});
  EXPECT_NE(text.find("clip = 1.0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n[train.optimizer]\nlr = 0.001\n"), std::string::npos) << text;
  EXPECT_NE(text.find("corpora = []\n"), std::string::npos) << text;
}

TEST(ConfigFile, ComparesWhatDiffers) {
  Config a, b;
  b.train.clip = 0.5;
  b.tags = {"new"};
  EXPECT_EQ(compare_configs(print_config(a), print_config(b)),
            (std::vector<std::string>{"tags.0 = absent -> \"new\"", "train.clip = 1.0 -> 0.5"}));
  EXPECT_TRUE(compare_configs(print_config(a), print_config(a)).empty());
}

}  // namespace
}  // namespace hinoki::config_file_test
